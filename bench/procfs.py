"""Processor time as the guest's scheduler counts it, in nanoseconds (``Documentation/scheduler/sched-stats.rst``).

``/proc/stat`` only samples who runs at each tick, which is too coarse for runs of a second. Parsing is pure; reading is one line each.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["busy_seconds", "parse_busy_ns", "parse_task_ns", "process_seconds"]

_RUN_TIME = 7  # of a line `cpuN …` of /proc/schedstat: the field behind the name that sums up all tasks' time on it


def parse_busy_ns(schedstat: str) -> int:
    """How long all processors have run tasks, of a ``/proc/schedstat`` text. Interrupts of an idle processor are not in it."""
    lines = [line.split() for line in schedstat.splitlines()]
    return sum(int(fields[_RUN_TIME]) for fields in lines if fields[0].startswith("cpu"))


def parse_task_ns(schedstat: str) -> int:
    """How long one thread has run, of a ``/proc/PID/task/TID/schedstat`` text."""
    return int(schedstat.split()[0])


def busy_seconds() -> float:
    """CPU seconds that all processors have been busy since boot."""
    return parse_busy_ns(Path("/proc/schedstat").read_text()) / 1e9


def process_seconds(pids: list[int]) -> float:
    """CPU seconds of all threads of these processes together; those that have ended count nothing."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += parse_task_ns(task.read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return total / 1e9
