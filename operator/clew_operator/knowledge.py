"""All that the operator knows of the cluster: a cache for each kind that it reads, and how objects get into them.

Everything that arrives (from a watch, a list, or as the answer to a write) comes in by one way and is read once. What changed is put
into the queue; what came again unchanged wakes nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from clew_crds.node import NodeTracing
from clew_crds.revision import TracingRevision

from clew_operator.caches import Cache
from clew_operator.client import Api
from clew_operator.gather import (
    ENDED_PODS,
    Unreadable,
    read_namespace,
    read_node,
    read_pod,
    read_policy,
    read_revision,
    read_tracing,
)
from clew_operator.keys import KeyQueue
from clew_operator.kinds import Kind, key_of
from clew_operator.placement import Pod, PodGroups
from clew_operator.planning.world import NodeFacts, PolicyFacts

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Shelf(Generic[Value]):
    """A cache and the reader of its objects; ``selector`` is the field selector of what is wanted of the kind."""

    cache: Cache[Value]
    read: Callable[[Mapping[str, Any]], Value | None]
    selector: str = ""


class Knowledge:
    """The caches, for any thread."""

    def __init__(self, queue: KeyQueue) -> None:
        self._queue = queue
        self.pods = PodGroups()
        self.policies: Cache[PolicyFacts | Unreadable] = Cache()
        self.revisions: Cache[TracingRevision] = Cache()
        self.tracings: Cache[NodeTracing] = Cache()
        self.nodes: Cache[NodeFacts] = Cache()
        self.namespaces: Cache[dict[str, str]] = Cache()
        pods: Cache[Pod] = Cache(self.pods.observe)
        self._shelves: dict[Kind, _Shelf[Any]] = {
            Kind.POLICY: _Shelf(self.policies, read_policy),
            Kind.REVISION: _Shelf(self.revisions, read_revision),
            Kind.TRACING: _Shelf(self.tracings, read_tracing),
            Kind.NODE: _Shelf(self.nodes, read_node),
            Kind.POD: _Shelf(pods, read_pod, ENDED_PODS),
            Kind.NAMESPACE: _Shelf(self.namespaces, read_namespace),
        }

    @property
    def selectors(self) -> dict[Kind, str]:
        """The kinds to watch, with their field selectors."""
        return {kind: shelf.selector for kind, shelf in self._shelves.items()}

    def seen(self, kind: Kind, event: str | None, document: Mapping[str, Any]) -> None:
        """Take in what a watch tells: ``event`` is ADDED, MODIFIED, DELETED, or None for an object of the watch's own list."""
        if event == "DELETED":
            self._note(kind, document, self._shelves[kind].cache.remove(key_of(document), _version(document)))
        else:
            self._take_in(kind, document, watched=True, listed=event is None)

    def wrote(self, kind: Kind, document: Mapping[str, Any]) -> None:
        """Take in the answer to a write of ours."""
        self._take_in(kind, document)

    def list_anew(self, api: Api, kind: Kind) -> None:
        """Read all objects of a kind from the API server. Raises ``ApiError``."""
        shelf = self._shelves[kind]
        listing = api.list(kind, shelf.selector)
        read = ((key_of(one), _version(one), shelf.read(one)) for one in listing.objects)
        if shelf.cache.replace(((key, version, value) for key, version, value in read if value is not None), listing.version):
            self._queue.put((kind.kind, ""))

    def suspects(self) -> tuple[Kind, ...]:
        """The kinds whose watch had to begin anew, so that deletions may have been missed."""
        return tuple(kind for kind, shelf in self._shelves.items() if shelf.cache.take_suspicion())

    def _take_in(self, kind: Kind, document: Mapping[str, Any], *, watched: bool = False, listed: bool = False) -> None:
        shelf, key, version = self._shelves[kind], key_of(document), _version(document)
        value = shelf.read(document)
        if value is None:
            changed = shelf.cache.remove(key, version)
        else:
            changed = shelf.cache.put(key, version, value, watched=watched, listed=listed)
        self._note(kind, document, changed)

    def _note(self, kind: Kind, document: Mapping[str, Any], changed: bool) -> None:
        if changed:
            self._queue.put((kind.kind, key_of(document)))


def _version(document: Mapping[str, Any]) -> int:
    return int(document["metadata"]["resourceVersion"])
