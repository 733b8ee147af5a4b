"""``clew-agent run`` as a child process: started, awaited, weighed and ended.

The demo, the benchmark and the kernel tests all drive the agent as a user does, by its command line and its signals.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["READY", "AgentError", "AgentProcess", "agent_command", "process_tree", "resident_kib"]

READY = "clew-agent: ready"
"""How the line on stderr begins that says probes are attached."""


class AgentError(RuntimeError):
    """The agent ended, or was not ready in time; the message holds what it said last."""


def agent_command(policies: Sequence[Path], pods: Path, exporters: Sequence[str], metrics: str | None = None) -> list[str]:
    """The command line of a standalone agent, run by this same Python."""
    argv = [sys.executable, "-m", "clew_agent.main", "run", "--pods", str(pods)]
    for policy in policies:
        argv += ["--policy", str(policy)]
    for exporter in exporters:
        argv += ["--exporter", exporter]
    return argv if metrics is None else [*argv, "--metrics-address", metrics]


class AgentProcess:
    """A running agent. A context manager; leaving it ends the agent by SIGTERM, and by SIGKILL if it does not obey."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None, echo: IO[str] | None = None) -> None:
        """Start ``argv`` with ``env`` added to this process's environment; its stderr is kept, and copied to ``echo``."""
        self._begun = time.monotonic()
        self.lines: list[str] = []
        self.ready_seconds = 0.0
        self._fresh: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._echo = echo
        self._process = subprocess.Popen(argv, env={**os.environ, **(env or {})}, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, name="agent-stderr", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The main process."""
        return self._process.pid

    def __enter__(self) -> AgentProcess:
        """Return itself; the agent runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the agent if :meth:`stop` has not."""
        self.stop()

    def wait_ready(self, timeout: float = 240) -> float:
        """Wait for the ready line; returns the seconds since the start. Raises :class:`AgentError`."""
        while True:
            left = self._begun + timeout - time.monotonic()
            try:
                line = self._fresh.get(timeout=max(left, 0))
            except queue.Empty:
                raise AgentError(f"the agent was not ready after {timeout:g} s; it said:\n{self._said()}") from None
            if line is None:
                raise AgentError(f"the agent ended with status {self._process.wait()} before it was ready; it said:\n{self._said()}")
            if line.startswith(READY):
                self.ready_seconds = time.monotonic() - self._begun
                return self.ready_seconds

    def stop(self, timeout: float = 60) -> int:
        """Ask the agent to end (SIGTERM), wait for it, and return its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reader.join()
        return self._process.wait()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                self.lines.append(line)
                self._fresh.put(line)
                if self._echo is not None:
                    self._echo.write(line)
                    self._echo.flush()
        self._fresh.put(None)

    def _said(self) -> str:
        return "".join(self.lines[-30:])


def process_tree(pid: int) -> list[int]:
    """``pid`` and every process below it, now (``/proc/PID/task/TID/children``, proc(5))."""
    found = [pid]
    for parent in found:
        try:
            lists = [task.joinpath("children").read_text() for task in Path(f"/proc/{parent}/task").iterdir()]
        except FileNotFoundError:
            continue
        found += [int(child) for listed in lists for child in listed.split()]
    return found


def resident_kib(pid: int) -> int:
    """The resident memory of a process in KiB (``VmRSS``, proc(5)); 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)
