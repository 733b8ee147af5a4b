"""The node's own NodeTracing, watched, and its revisions, read by name: the policies of cluster mode."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from urllib.parse import quote

from clew_crds import TracingPolicy
from clew_crds.node import NodeTracing, State
from pydantic import ValidationError

from clew_agent.cluster import Object
from clew_agent.cluster.client import Api, ApiError
from clew_agent.cluster.told import Revision, Told, Verdict, read_revision, read_tracing, to_enforce
from clew_agent.cluster.watch import Resource, Watch

_LOG = logging.getLogger("clew.cluster")
_API = "/apis/clew.dev/v1alpha1"
_AGAIN = 10.0  # seconds until a revision that could not be read is asked for again


def tracing_path(node: str) -> str:
    """Where a node's NodeTracing is."""
    return f"{_API}/nodetracings/{quote(node)}"


class NodePolicies:
    """A ``PolicySource``: what the operator has chosen for this node."""

    def __init__(self, api: Api, node: str, changed: Callable[[], None]) -> None:
        """``changed`` is called, by a thread of this, when :meth:`told` has changed."""
        self._api = api
        self._changed = changed
        self._told = Told()
        self._policies: tuple[TracingPolicy, ...] = ()
        self._cache: dict[str, Revision] = {}
        self._news = threading.Event()
        resource = Resource(f"{_API}/nodetracings", {"fieldSelector": f"metadata.name={node}"})
        self._watch: Watch[NodeTracing] = Watch(api, resource, _keep, self._news.set)
        threading.Thread(target=self._run, name="clew-revisions", daemon=True).start()

    def policies(self) -> tuple[TracingPolicy, ...]:
        """The policies to enforce now."""
        return self._policies

    def told(self) -> Told:
        """What the operator has told last."""
        return self._told

    def _run(self) -> None:
        lacking = False
        while True:
            self._news.wait(_AGAIN if lacking else None)
            self._news.clear()
            known = self._watch.known()
            if known is not None:
                lacking = self._look(next(iter(known.values()), None))

    def _look(self, tracing: NodeTracing | None) -> bool:
        """Take in what the object says; True where a revision is still lacking."""
        assignments = tracing.spec.policies if tracing is not None else ()
        wanted = [assignment.revision for assignment in assignments]
        self._cache = {name: revision for name, revision in self._cache.items() if name in wanted}
        found = {name: revision for name in wanted if (revision := self._revision(name)) is not None}
        told = Told(tracing.metadata.uid, tracing.metadata.generation, assignments, found) if tracing is not None else Told()
        if told != self._told:
            policies = to_enforce(told, self._policies)
            self._told = told
            if policies != self._policies:
                self._policies = policies
            self._changed()
        return any(name not in self._cache for name in wanted)

    def _revision(self, name: str) -> Revision | None:
        """A revision, from the cache where it was read before; None where the API server cannot be asked now."""
        if name not in self._cache:
            try:
                self._cache[name] = read_revision(self._api.get(f"{_API}/tracingrevisions/{quote(name)}"))
            except ApiError as error:
                if error.status == 404:
                    return Verdict(State.FAILED, "RevisionNotFound", f"there is no TracingRevision {name}")
                if not error.passes:
                    _LOG.error("revision %s cannot be read: %s", name, error)
                return None
        return self._cache[name]


def _keep(item: Object) -> NodeTracing | None:
    try:
        return read_tracing(item)
    except ValidationError as error:
        _LOG.error("NodeTracing %s cannot be read, and nothing is enforced: %s", item["metadata"].get("name"), error)
        return None
