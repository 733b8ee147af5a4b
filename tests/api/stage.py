"""A page of docs played on a control plane: its commands run section by section, while a test drives the state in between.

``WRITE_DOCS=1`` writes what was seen into the page; without it the page must show what was seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from clew_crds.node import Kernel
from clew_lab.cluster import Cluster

from tests.api.console import filled, masked, sections
from tests.api.definitions import CHECKOUT

_PLUGIN = f"#!{sys.executable}\nfrom clew_cli.main import main\nraise SystemExit(main())\n"


class Stage:
    """The commands of one page. They run in a folder with the page's files and the checkout's ``charts``; ``clew`` is on PATH."""

    def __init__(self, page: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._path = CHECKOUT / "docs" / page
        self._page = self._path.read_text()
        self._left = list(sections(self._page))
        self._outputs: list[str] = []
        self.folder = folder
        (folder / "charts").symlink_to(CHECKOUT / "charts")
        programs = folder / "bin"
        programs.mkdir()
        for name in ("clew", "kubectl-clew"):
            (programs / name).write_text(_PLUGIN)
            (programs / name).chmod(0o755)
        code = os.pathsep.join([str(CHECKOUT / "crds"), str(CHECKOUT / "cli")])
        self.environment = {**environment, "PATH": f"{programs}{os.pathsep}{environment['PATH']}", "PYTHONPATH": code}

    def play(self, title: str) -> None:
        """Write the files of the next section that has commands, and run these. It is named, so that test and page go along."""
        section = self._left.pop(0)
        assert section.title == title, f'the page goes on with "{section.title}"'
        for name, text in section.files.items():
            (self.folder / name).write_text(text)
        self._outputs += [self._run(command) for command in section.commands]

    def _run(self, command: str) -> str:
        """What a terminal shows of the command."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
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
        assert masked(self._path.read_text()).splitlines() == masked(seen).splitlines()


def kernels(cluster: Cluster) -> dict[str, Kernel]:
    """What simulated agents are to say of their nodes' kernels: the release that the node has, and that headers are written."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json").stdout)["items"]
    return {one["metadata"]["name"]: Kernel(release=one["status"]["nodeInfo"]["kernelVersion"], propagation="On") for one in nodes}
