"""Waiting for what gives no sign when it changes: a file that grows, counters that are scraped, objects of the kernel."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 60.0
"""Seconds that anything may take which takes a moment on a machine that nobody else uses."""

Found = TypeVar("Found")


def until(look: Callable[[], Found], wanted: Callable[[Found], bool], otherwise: Callable[[], str], patience: float = PATIENCE) -> Found:
    """Look again and again until what is found is as wanted; `AssertionError` with what `otherwise` says after `patience`."""
    end = time.monotonic() + patience
    while not wanted(found := look()):
        assert time.monotonic() < end, f"after {patience:g} s: {otherwise()}"
        time.sleep(0.05)
    return found
