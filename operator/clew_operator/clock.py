"""The time by which rollouts are judged: that of the machine when the operator began, and steady from there.

Soaks and deadlines are differences of times that stand in statuses. If somebody sets the machine's clock an hour ahead, no soak is
over for that, and no deadline passed; so a clock that is set counts at the next start only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class SteadyClock:
    """Tells the time in UTC, and never jumps."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._began = steady()
        self._epoch = datetime.fromtimestamp(wall(), UTC)

    def now(self) -> datetime:
        """The time now."""
        return self._epoch + timedelta(seconds=self._steady() - self._began)
