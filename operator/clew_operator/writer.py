"""Carries decisions out: writes what differs, a few requests at a time, and tells what could not be written.

Nothing is tried again here. What was not written still differs at the next look, which comes after a back-off, so there is one
mechanism for conflicts, throttling, an API server that is away and objects that came or went meanwhile. When the API server does not
answer, or asks for fewer requests, the rest of the batch is not sent.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from clew_crds.node import NodeTracing
from clew_crds.revision import TracingRevision

from clew_operator.bodies import revision_body, status_body, tracing_body
from clew_operator.changes import NodeChange, StatusChange
from clew_operator.client import Api, ApiError, Fault
from clew_operator.kinds import Kind
from clew_operator.knowledge import Knowledge
from clew_operator.leader import DeposedError, Leader
from clew_operator.metrics import Metrics

AT_ONCE = 8
"""Requests that are under way at one time."""

_LOG = logging.getLogger("clew.writer")
_ENDS_BATCH = (Fault.THROTTLED, Fault.SERVER, Fault.UNREACHABLE)
Item = TypeVar("Item")


@dataclass(slots=True)
class Outcome:
    """What became of a batch: the names that were not written, whether any was, and how many seconds the API server asked to wait."""

    missed: set[str] = field(default_factory=set)
    wrote: bool = False
    retry_after: float = 0.0


class _EndedError(Exception):
    """The batch was ended by another of its requests."""


class Writer:
    """Writes as the leader, and only while it is."""

    def __init__(self, api: Api, leader: Leader, knowledge: Knowledge, metrics: Metrics) -> None:
        self._api = api
        self._leader = leader
        self._knowledge = knowledge
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="writer")
        self._ending = threading.Event()

    def create_revisions(self, revisions: Iterable[TracingRevision]) -> Outcome:
        """Write new revisions."""

        def write(one: TracingRevision, timeout: float) -> None:
            self._apply(Kind.REVISION, revision_body(one), timeout)

        return self._batch("revision", {one.metadata.name: one for one in revisions}, write)

    def write_statuses(self, changes: Iterable[StatusChange]) -> Outcome:
        """Write policies' statuses."""

        def write(one: StatusChange, timeout: float) -> None:
            self._apply(Kind.POLICY, status_body(one.policy, one.uid, one.status), timeout, status=True)

        return self._batch("status", {one.policy: one for one in changes}, write)

    def write_tracings(self, changes: Iterable[NodeChange]) -> Outcome:
        """Write what nodes shall enforce."""

        def write(one: NodeChange, timeout: float) -> None:
            self._apply(Kind.TRACING, tracing_body(one.node, one.node_uid, one.entries), timeout)

        return self._batch("tracing", {one.node: one for one in changes}, write)

    def delete_revisions(self, revisions: Iterable[TracingRevision]) -> Outcome:
        """Delete revisions that nothing needs any longer."""

        def write(one: TracingRevision, timeout: float) -> None:
            self._api.delete(Kind.REVISION, one.metadata.name, one.metadata.uid, timeout=timeout)
            self._knowledge.revisions.forget(one.metadata.name, one)

        return self._batch("deletion", {one.metadata.name: one for one in revisions}, write)

    def delete_tracings(self, tracings: Iterable[NodeTracing]) -> Outcome:
        """Delete NodeTracings of nodes that are gone."""

        def write(one: NodeTracing, timeout: float) -> None:
            self._api.delete(Kind.TRACING, one.metadata.name, one.metadata.uid, timeout=timeout)
            self._knowledge.tracings.forget(one.metadata.name, one)

        return self._batch("deletion", {one.metadata.name: one for one in tracings}, write)

    def end(self) -> None:
        """Send nothing new."""
        self._ending.set()

    def close(self) -> None:
        """Let the threads go. Nobody may write any more."""
        self._pool.shutdown()

    def _apply(self, kind: Kind, body: Mapping[str, Any], timeout: float, *, status: bool = False) -> None:
        self._knowledge.wrote(kind, self._api.apply(kind, body, status=status, timeout=timeout))

    def _batch(self, what: str, changes: Mapping[str, Item], write: Callable[[Item, float], None]) -> Outcome:
        outcome, ended, lock = Outcome(), threading.Event(), threading.Lock()

        def one(name: str, change: Item) -> None:
            try:
                if ended.is_set() or self._ending.is_set():
                    raise _EndedError
                write(change, self._leader.time_left())
            except ApiError as error:
                self._metrics.count("writes", kind=what, result=error.fault.value)
                _LOG.warning("a write failed", extra={"kind": what, "object": name, "fault": error.fault.value, "error": str(error)})
                if error.fault in _ENDS_BATCH:
                    ended.set()
                with lock:
                    outcome.missed.add(name)
                    outcome.retry_after = max(outcome.retry_after, error.retry_after)
            except (DeposedError, _EndedError):
                ended.set()
                with lock:
                    outcome.missed.add(name)
            else:
                self._metrics.count("writes", kind=what, result="done")
                outcome.wrote = True

        for future in [self._pool.submit(one, name, change) for name, change in changes.items()]:
            future.result()
        return outcome
