"""From the kernel's clock to the world's: what must be added to CLOCK_MONOTONIC (bpf_ktime_get_ns) to get Unix time.

NTP slews both clocks alike, so the offset changes only when the time is set. What looks like smaller changes is the measurement's
own error, and following it would move spans of one request against each other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

_LOOKS = 5


@dataclass(frozen=True, slots=True)
class Offset:
    """CLOCK_REALTIME - CLOCK_MONOTONIC in nanoseconds, and by how much that may be wrong."""

    ns: int
    error_ns: int


def measure() -> Offset:
    """The offset now: of some looks, each at Unix time between two looks at the monotonic clock, the one that took least."""

    def look() -> Offset:
        before = time.monotonic_ns()
        now = time.time_ns()
        after = time.monotonic_ns()
        return Offset(now - (before + after) // 2, (after - before + 1) // 2)

    return min((look() for _ in range(_LOOKS)), key=lambda offset: offset.error_ns)


def follow(known: Offset | None, measured: Offset) -> Offset:
    """The offset to go on with: the known one, unless the measurement says for certain that the time was set."""
    if known is not None and abs(measured.ns - known.ns) <= measured.error_ns + known.error_ns:
        return known
    return measured
