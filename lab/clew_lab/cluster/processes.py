"""The processes of one cluster: none of them, nor their folder, outlives whoever started them.

All are in one process group, whose first member is a guard that waits on a pipe from this process. When the pipe closes, because
the group is left or because this process has died in whatever way, the guard kills the group; its id stays taken until then, so
that no other process is ever hit. A cleaner outside the group waits on another pipe, which this process and all members hold open:
when the last of them has ended, it removes their folder.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["ProcessGroup"]

_GUARD = ("sh", "-c", "read -r _; kill -KILL 0", "clew-cluster-guard")
_CLEANER = ("sh", "-c", 'read -r _; rm -rf -- "$1"', "clew-cluster-cleaner")


class ProcessGroup:
    """Named processes, each with a log file in `folder`. A context manager; leaving it kills them all and removes the folder."""

    def __init__(self, folder: Path) -> None:
        """Start guard and cleaner; nothing else runs yet."""
        self._folder = folder
        self._members: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = subprocess.Popen(_GUARD, stdin=subprocess.PIPE, process_group=0)
        read_end, self._held = os.pipe()
        self._cleaner = subprocess.Popen([*_CLEANER, folder], stdin=read_end, process_group=0)
        os.close(read_end)

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._guard.stdin is not None
        with suppress(ProcessLookupError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.stdin.close()
        for process in (self._guard, *self._members.values()):
            process.wait()
        os.close(self._held)
        self._cleaner.wait()

    def start(self, name: str, argv: Sequence[str | Path]) -> None:
        """Start a process called `name`; its output is appended to `name`.log."""
        with self.log(name).open("ab") as log:
            self._members[name] = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=self._guard.pid, pass_fds=[self._held]
            )

    def kill(self, name: str) -> None:
        """End one process at once and wait for its end."""
        self._members[name].kill()
        self._members[name].wait()

    def ended(self) -> list[str]:
        """Return the names of processes that have been started and have ended."""
        return [name for name, process in self._members.items() if process.poll() is not None]

    def pids(self) -> dict[str, int]:
        """Return the pid of each process that has been started, by name."""
        return {name: process.pid for name, process in self._members.items()}

    def log(self, name: str) -> Path:
        """Return the log file of that process."""
        return self._folder / f"{name}.log"
