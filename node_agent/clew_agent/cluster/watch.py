"""A list of objects kept current by a thread of its own: list once, then watch from there (Kubernetes API concepts, "watches").

Each object is turned into what is needed of it at once, so that a node does not hold what it never reads. What was known stays known
while the API server is away.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from clew_agent.cluster import Object
from clew_agent.cluster.client import Api, ApiError, shut

_LOG = logging.getLogger("clew.cluster")
_GONE = 410
_PAGE = "500"
_SHORTEST, _LONGEST = 240, 480  # seconds of one watch: not all nodes begin anew at one time
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
_RANDOM = random.SystemRandom()  # nodes that are copies of one another shall not come at one moment

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class Resource:
    """What to list: the path of the collection, selectors of the query, and whether the objects' metadata will do."""

    path: str
    query: Mapping[str, str]
    metadata_only: bool = False

    @property
    def as_list(self) -> str:
        """The form in which a list is asked for."""
        return _METADATA.format("List") if self.metadata_only else _JSON

    @property
    def as_events(self) -> str:
        """The form in which a watch is asked for; of the other one the API server would send nothing at all."""
        return _METADATA.format("") if self.metadata_only else _JSON


@dataclass(slots=True)
class Backoff:
    """Growing pauses with jitter, so that a thousand nodes do not come back in one moment."""

    first: float = 0.5
    most: float = 30.0
    _next: float = 0.0

    def pause(self) -> float:
        """Seconds until the next attempt."""
        self._next = min(self.most, self._next * 2 or self.first)
        return _RANDOM.uniform(self._next / 2, self._next)

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._next = 0.0


class Watch(Generic[Kept]):
    """The objects of a resource, as ``keep`` has them. ``keep`` may answer None for one that is of no interest."""

    def __init__(
        self, api: Api, resource: Resource, keep: Callable[[Object], Kept | None], changed: Callable[[], None] | None = None
    ) -> None:
        """``changed`` is called by the watching thread whenever :meth:`known` has changed."""
        self._api, self._resource, self._keep = api, resource, keep
        self._changed = changed or (lambda: None)
        self._known: Mapping[str, Kept] | None = None
        self._version = ""
        self._stopping = threading.Event()
        self._open: Any = None
        self._lock = threading.Lock()
        self._complaint = ""
        threading.Thread(target=self._run, name=f"clew-watch-{resource.path.rpartition('/')[2]}", daemon=True).start()

    def known(self) -> Mapping[str, Kept] | None:
        """The objects by their uid, the same mapping until something changes; None before the first list."""
        return self._known

    def stop(self) -> None:
        """End the thread soon; what is known stays."""
        self._stopping.set()
        with self._lock:
            if self._open is not None:
                shut(self._open)

    def _run(self) -> None:
        backoff = Backoff()
        begin = "0"  # the server's cache will do, until it has turned out to be behind
        while not self._stopping.is_set():
            pause = _RANDOM.random()
            try:
                if not self._version:
                    self._list(begin)
                begin = ""
                self._follow()
                backoff.reset()
            except ApiError as error:
                pause = backoff.pause()
                if error.status == _GONE:
                    self._version = ""
                elif not error.passes:
                    self._complain(f"{self._resource.path}: {error}")
            self._stopping.wait(pause)

    def _list(self, version: str) -> None:
        found: dict[str, Kept] = {}
        query = {**self._resource.query, "limit": _PAGE, "resourceVersion": version}
        while True:
            page = self._api.get(self._resource.path, query, self._resource.as_list)
            for item in page.get("items") or ():
                self._put(found, item)
            metadata = page["metadata"]
            if not metadata.get("continue"):
                break
            query = {**self._resource.query, "limit": _PAGE, "continue": metadata["continue"]}
        self._complaint = ""
        self._version = str(metadata["resourceVersion"])
        self._publish(found)

    def _follow(self) -> None:
        """Take events in until the watch ends. Where it is cut, the next one goes on behind the last event."""
        query = {**self._resource.query, "resourceVersion": self._version}
        seconds = _RANDOM.randint(_SHORTEST, _LONGEST)
        try:
            for event in self._api.watch(self._resource.path, query, self._resource.as_events, seconds, self._opened):
                item = event["object"]
                if event["type"] == "ERROR":
                    raise ApiError(int(item.get("code", 0)), str(item.get("message", item)))
                if event["type"] != "BOOKMARK":
                    found = dict(self._known or {})
                    self._put(found, item, gone=event["type"] == "DELETED")
                    self._publish(found)
                self._version = str(item["metadata"]["resourceVersion"])
        finally:
            with self._lock:
                self._open = None

    def _opened(self, response: Any) -> None:
        with self._lock:
            self._open = response
            if self._stopping.is_set():
                shut(response)

    def _put(self, found: dict[str, Kept], item: Object, *, gone: bool = False) -> None:
        kept = None if gone else self._keep(item)
        if kept is None:
            found.pop(item["metadata"]["uid"], None)
        else:
            found[item["metadata"]["uid"]] = kept

    def _publish(self, found: Mapping[str, Kept]) -> None:
        if found != self._known:
            self._known = found
            self._changed()

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            _LOG.error("%s", complaint)
