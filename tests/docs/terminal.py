"""A terminal in which tests type what the docs tell readers to type."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.docs.commands import CHECKOUT

__all__ = ["Terminal"]

_HIDDEN = (".git", ".venv", "build", "dist")
_CODE = os.pathsep.join(str(CHECKOUT / part) for part in ("crds", "operator", "node_agent", "cli", "lab", "."))
_PROGRAMS = {
    "python": "",
    "pip": "-m pip",
    "pytest": "-m pytest",
    "clew": "-m clew_cli.main",
    "clew-lab": "-m clew_lab.main",
}


class Terminal:
    """A shell in a folder that looks like the checkout: what the docs' commands read is there, and what they write stays in the folder.

    ``environment`` says which cluster it speaks to. Clew's programs are on PATH, ``kubectl clew`` among them, and in ``.venv/bin``.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        for entry in CHECKOUT.iterdir():
            if entry.name not in _HIDDEN:
                (folder / entry.name).symlink_to(entry)
        programs = folder / ".venv/bin"
        programs.mkdir(parents=True)
        for name, what in _PROGRAMS.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {what} "$@"\n')
            (programs / name).chmod(0o755)
        (programs / "kubectl-clew").symlink_to("clew")
        self.environment = {**environment, "PATH": f"{programs}{os.pathsep}{environment['PATH']}", "PYTHONPATH": _CODE}

    def documented(self, command: str, instead: Mapping[str, str] | None = None) -> str:
        """Type a command of the docs, with other words for some of it; what it printed. It must end well.

        ``command`` stands here as it does there, as one literal: ``tests/unit/test_docs_commands.py`` looks for it in calls of this.
        """
        meant = _with_other_words(command, instead or {})
        done = self.run(meant)
        assert done.returncode == 0, f"{meant}\n{done.stdout}"
        return done.stdout

    @contextmanager
    def documented_to_go_on(self, command: str, instead: Mapping[str, str] | None = None) -> Iterator[IO[str]]:
        """Type a command of the docs that goes on until it is told to end, which it is behind the block; what it prints."""
        meant = _with_other_words(command, instead or {})
        with subprocess.Popen(["bash", "-c", f"exec {meant}"], **self._way) as process:
            assert process.stdout is not None
            try:
                yield process.stdout
            finally:
                process.terminate()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Type any command; its status, and what it printed with its errors in between."""
        return subprocess.run(["bash", "-c", command], check=False, **self._way)

    @property
    def _way(self) -> dict[str, Any]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return {"cwd": self.folder, "env": self.environment, "text": True, **pipes}


def _with_other_words(command: str, instead: Mapping[str, str]) -> str:
    for written, meant in instead.items():
        assert written in command, f"{written} is not in: {command}"
        command = command.replace(written, meant)
    return command
