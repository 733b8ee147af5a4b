"""A page of docs played on a control plane: its commands run section by section, while a test drives the state in between.

``WRITE_DOCS=1`` writes what was seen into the page; without it the page must show what was seen.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path

from clew_crds.node import Kernel
from clew_lab.cluster import Cluster

from tests.api.cli_rig import with_plugin
from tests.api.console import filled, masked, sections
from tests.api.definitions import CHECKOUT


class Stage:
    """The commands of one page. They run in a folder with the page's files and the checkout's ``charts``; ``clew`` is on PATH."""

    def __init__(self, page: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._path = CHECKOUT / "docs" / page
        self._page = self._path.read_text()
        self._left = list(sections(self._page))
        self._outputs: list[str] = []
        self._folder = folder
        (folder / "charts").symlink_to(CHECKOUT / "charts")
        programs = folder / "bin"
        programs.mkdir()
        self._environment = with_plugin(environment, programs)

    def play(self, title: str) -> None:
        """Write the files of the next section that has commands, and run these. It is named, so that test and page go along."""
        section = self._left.pop(0)
        assert section.title == title, f'the page goes on with "{section.title}"'
        for name, text in section.files.items():
            (self._folder / name).write_text(text)
        self._outputs += [self._run(command) for command in section.commands]

    def _run(self, command: str) -> str:
        """What a terminal shows of the command."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    def end(self) -> None:
        """Hold what was seen against the page, or write it there."""
        assert self._left == [], "the page has sections that were not played"
        seen = filled(self._page, self._outputs)
        if os.environ.get("WRITE_DOCS"):
            self._path.write_text(seen)
        page = self._path.read_text()
        lines = unified_diff(masked(page).splitlines(), masked(seen).splitlines(), self._path.name, "what was seen", n=2, lineterm="")
        difference = "\n".join(lines)
        assert not difference, f"is this meant? Then WRITE_DOCS=1 writes it into the page.\n{difference}"


def kernels(cluster: Cluster) -> dict[str, Kernel]:
    """What simulated agents are to say of their nodes' kernels: the release that the node has, and that headers are written."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json").stdout)["items"]
    return {one["metadata"]["name"]: Kernel(release=one["status"]["nodeInfo"]["kernelVersion"], propagation="On") for one in nodes}
