"""Awaiting the ends of processes that are not this process's children."""

import os
import select
from collections.abc import Iterable

__all__ = ["await_all", "ends_of"]


def ends_of(pids: Iterable[int]) -> list[int]:
    """Descriptors that become readable when these processes, which run, end (pidfd_open(2))."""
    return [os.pidfd_open(pid) for pid in pids]


def await_all(descriptors: Iterable[int], patience: float = 30) -> None:
    """Return when all have become readable, and close them; `AssertionError` if some have not in time."""
    waiting = set(descriptors)
    while waiting:
        ended, _, _ = select.select(list(waiting), [], [], patience)
        assert ended, "processes that should have ended still run"
        for descriptor in ended:
            waiting.discard(descriptor)
            os.close(descriptor)
