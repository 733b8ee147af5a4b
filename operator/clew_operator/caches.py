"""What the operator knows of the cluster: one cache a kind, holding values that were read out of objects, never the objects.

Three sources feed a cache: a watch, the operator's own lists, and the answers to its own writes, so that it sees at once what it
wrote. They overtake one another, so what is newer is decided by resourceVersion, which is a number that counts up over all objects.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(slots=True)
class _Kept(Generic[Value]):
    value: Value
    version: int
    watched: bool


class Cache(Generic[Value]):
    """The objects of one kind, by key. For any thread; ``observer`` is told the old and the new value of each change, under the lock."""

    def __init__(self, observer: Callable[[Value | None, Value | None], None] | None = None) -> None:
        self._kept: dict[str, _Kept[Value]] = {}
        self._gone: dict[str, int] = {}
        self._complete_at = 0
        self._observer = observer
        self._suspect = False
        self._lock = threading.Lock()

    def put(self, key: str, version: int, value: Value, *, watched: bool = False, listed: bool = False) -> bool:
        """Take in an object; whether that changed its value.

        ``watched``: it comes from the watch. ``listed``: from the watch's own list, of which there is one when it begins, and another
        when it had to begin anew. What was deleted in between is not in it and never reported, so the cache is :meth:`suspect` then.
        """
        with self._lock:
            old = self._kept.get(key)
            if old is not None and listed and old.watched:
                self._suspect = True
            known = old.version if old is not None else max(self._complete_at, self._gone.get(key, 0))
            if version <= known:
                if old is not None:
                    old.watched |= watched
                return False
            self._kept[key] = _Kept(value, version, watched or (old is not None and old.watched))
            return self._tell(old.value if old is not None else None, value)

    def remove(self, key: str, version: int) -> bool:
        """Take note of a deletion; whether there was such an object."""
        with self._lock:
            return self._remove(key, version)

    def forget(self, key: str, value: Value) -> None:
        """Take note that the object with this very value was deleted by us."""
        with self._lock:
            old = self._kept.get(key)
            if old is not None and old.value is value:
                self._remove(key, old.version)

    def replace(self, listed: Iterable[tuple[str, int, Value]], version: int) -> bool:
        """Take in a complete list as of ``version``; whether that changed anything."""
        changed = False
        keys = set()
        for key, one, value in listed:
            keys.add(key)
            changed |= self.put(key, one, value)
        with self._lock:
            for key in [key for key, kept in self._kept.items() if key not in keys and kept.version <= version]:
                changed |= self._remove(key, version)
            self._complete_at = max(self._complete_at, version)
            self._gone = {key: gone for key, gone in self._gone.items() if gone > self._complete_at}
        return changed

    def snapshot(self) -> dict[str, Value]:
        """All values."""
        with self._lock:
            return {key: kept.value for key, kept in self._kept.items()}

    def take_suspicion(self) -> bool:
        """Whether the watch had to begin anew since this was asked last: the cache may hold what is gone."""
        with self._lock:
            suspect, self._suspect = self._suspect, False
            return suspect

    def _remove(self, key: str, version: int) -> bool:
        old = self._kept.get(key)
        if old is not None and old.version > version:
            return False
        self._gone[key] = max(version, self._gone.get(key, 0))
        self._kept.pop(key, None)
        return old is not None and self._tell(old.value, None)

    def _tell(self, old: Value | None, new: Value | None) -> bool:
        if old == new:
            return False
        if self._observer is not None:
            self._observer(old, new)
        return True
