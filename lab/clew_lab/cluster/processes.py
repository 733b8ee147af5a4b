"""The processes of one cluster, in one process group that cannot outlive whoever started it.

The group's first member is a guard that waits on a pipe from this process. When the pipe closes, because the cluster is ended or
because this process has died in whatever way, the guard kills the group. Its id stays taken until then, so that no other process
is ever hit.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["ProcessGroup"]

_GUARD = ("sh", "-c", "read -r _; kill -KILL 0", "clew-cluster-guard")


class ProcessGroup:
    """Named processes, each with a log file in `folder`. A context manager; leaving it kills them all."""

    def __init__(self, folder: Path) -> None:
        """Start the guard; nothing else runs yet."""
        self._folder = folder
        self._members: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = subprocess.Popen(_GUARD, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._guard.stdin is not None
        with suppress(ProcessLookupError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.stdin.close()
        self._guard.wait()
        for process in self._members.values():
            process.wait()

    def start(self, name: str, argv: Sequence[str | Path], environment: dict[str, str] | None = None) -> None:
        """Start a process called `name`; its output is appended to `name`.log."""
        with self.log(name).open("ab") as log:
            self._members[name] = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=self._guard.pid
            )

    def kill(self, name: str) -> None:
        """End one process at once and wait for its end."""
        self._members[name].kill()
        self._members[name].wait()

    def ended(self, name: str) -> bool:
        """Whether that process has ended."""
        return self._members[name].poll() is not None

    def pids(self) -> dict[str, int]:
        """Return the pid of each process that has been started, by name."""
        return {name: process.pid for name, process in self._members.items()}

    def log(self, name: str) -> Path:
        """Return the log file of that process."""
        return self._folder / f"{name}.log"
