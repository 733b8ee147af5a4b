"""Processor time and memory as the guest's kernel counts them (proc(5)). Parsing is pure; reading is one line each."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["busy_seconds", "parse_busy_ticks", "parse_process_ticks", "process_seconds"]

_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE, _IOWAIT, _GUEST = 3, 4, 8


def parse_busy_ticks(stat: str) -> int:
    """The ticks all processors were not idle, of a ``/proc/stat`` text: user, nice, system, irq, softirq and steal.

    Guest time is left out, since user time holds it already (``account_guest_time`` in the kernel).
    """
    fields = [int(value) for value in stat.splitlines()[0].split()[1:]]
    return sum(value for index, value in enumerate(fields[:_GUEST]) if index not in (_IDLE, _IOWAIT))


def parse_process_ticks(stat: str) -> int:
    """The ticks of a process, user and system, of a ``/proc/PID/stat`` text. Its name, in brackets, may hold anything."""
    after_name = stat.rpartition(")")[2].split()
    return int(after_name[11]) + int(after_name[12])


def busy_seconds() -> float:
    """CPU seconds that all processors have been busy since boot."""
    return parse_busy_ticks(Path("/proc/stat").read_text()) / _TICKS


def process_seconds(pids: list[int]) -> float:
    """CPU seconds of these processes together; those that have ended count nothing."""
    total = 0
    for pid in pids:
        try:
            total += parse_process_ticks(Path(f"/proc/{pid}/stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / _TICKS
