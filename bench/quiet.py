"""A benchmark has its machine to itself, or its figures are not worth quoting."""

from __future__ import annotations

import os
import sys

__all__ = ["warn_if_busy"]

_QUIET_LOAD = 0.5


def warn_if_busy() -> None:
    """Say on stderr when something else runs here."""
    load = os.getloadavg()[0]
    if load > _QUIET_LOAD:
        print(f"bench: this machine is busy (load {load:.1f}): the figures will not be worth quoting", file=sys.stderr)
