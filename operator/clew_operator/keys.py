"""The one queue: names of what changed since the reconcile loop looked last. A name is in it once, however often it changes.

The loop looks at the whole world each time, so a key says no more than that there is something to look at, and what it was that woke
the loop. How long the oldest key has waited tells whether the loop is stuck.
"""

from __future__ import annotations

import threading
import time

Key = tuple[str, str]
"""What kind of object, and which."""


class KeyQueue:
    """Keys with the time of their arrival, for any thread."""

    def __init__(self) -> None:
        self._keys: dict[Key, float] = {}
        self._closed = False
        self._changed = threading.Condition()

    def put(self, key: Key) -> None:
        """Add a key, unless it waits already."""
        with self._changed:
            self._keys.setdefault(key, time.monotonic())
            self._changed.notify_all()

    def take(self, *, not_before: float, not_after: float) -> frozenset[Key]:
        """All keys, once there are any and it is ``not_before`` by the monotonic clock; none at ``not_after``, or when it is closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                if now >= not_after or (self._keys and now >= not_before):
                    break
                self._changed.wait((not_before if self._keys else not_after) - now)
            keys, self._keys = frozenset(self._keys), {}
            return keys

    def close(self) -> None:
        """Let whoever waits go on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def age(self) -> float:
        """Seconds that the oldest key has waited; 0 where none does."""
        with self._changed:
            return time.monotonic() - min(self._keys.values()) if self._keys else 0.0
