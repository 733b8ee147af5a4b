"""What is to be written so that the cluster is as planned: differences alone, in the order in which they may be written. Pure.

A policy's status is the operator's only memory, so what it must remember of a decision is written before the decision is carried
out: were it the other way round, an operator that ends in between would start a rollout anew that it had just taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clew_crds.node import Assignment, NodeTracing
from clew_crds.revision import TracingRevision
from clew_crds.status import PolicyStatus

from clew_operator.planning.world import NodeFacts

PACE = 1.0
"""Seconds between two writes of a policy's status that tell of progress alone."""

GRACE = 30.0
"""Seconds after which a NodeTracing is deleted whose node is gone: until then that is left to Kubernetes' garbage collection."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A policy's status that differs from the one in the cluster. ``memory``: what is planned besides depends on its being written."""

    policy: str
    uid: str
    status: PolicyStatus
    memory: bool


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A NodeTracing that is missing or differs. ``touches`` are the policies whose entries change."""

    node: str
    node_uid: str
    entries: tuple[Assignment, ...]
    touches: frozenset[str]

    @property
    def revisions(self) -> frozenset[str]:
        """The revisions that the node must find."""
        return frozenset(one.revision for one in self.entries)


class Pace:
    """Remembers when each policy's status was written, to hold back what can wait. Times are of a monotonic clock."""

    def __init__(self) -> None:
        self._written: dict[str, float] = {}

    def due(self, policy: str, now: float) -> float:
        """When the next write that can wait may be made: ``now``, or later."""
        return max(now, self._written.get(policy, now - PACE) + PACE)

    def wrote(self, policy: str, now: float) -> None:
        """Take note of a write."""
        self._written[policy] = now
        self._written = {one: when for one, when in self._written.items() if now - when < PACE or one == policy}


class Departures:
    """Remembers since when the node of a NodeTracing has been gone."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def due(self, tracings: Mapping[str, NodeTracing], nodes: Mapping[str, NodeFacts], now: float) -> tuple[tuple[str, ...], float | None]:
        """The NodeTracings to delete now, and when the next one will be due."""
        self._since = {name: self._since.get(name, now) for name in tracings if name not in nodes}
        over = tuple(sorted(name for name, since in self._since.items() if now - since >= GRACE))
        waiting = [since + GRACE for name, since in self._since.items() if name not in over]
        return over, min(waiting, default=None)


@dataclass(frozen=True, slots=True)
class StatusChanges:
    """Statuses to write now, and when to look again for those that wait (None: none does)."""

    now: tuple[StatusChange, ...] = ()
    next: float | None = None
    waiting: frozenset[str] = field(default_factory=frozenset)


def status_changes(
    before: Mapping[str, PolicyStatus], uids: Mapping[str, str], planned: Mapping[str, PolicyStatus], pace: Pace, now: float
) -> StatusChanges:
    """The statuses that differ, of policies that there are: memory and conditions at once, mere progress by the pace."""
    write, later = [], {}
    for policy in sorted(planned.keys() & before.keys()):
        old, new = before[policy], planned[policy]
        if old == new:
            continue
        memory = _memory(old) != _memory(new)
        due = now if memory or _conditions(old) != _conditions(new) else pace.due(policy, now)
        if due <= now:
            write.append(StatusChange(policy, uids[policy], new, memory))
        else:
            later[policy] = due
    return StatusChanges(tuple(write), min(later.values(), default=None), frozenset(later))


def node_changes(
    nodes: Mapping[str, NodeFacts], tracings: Mapping[str, NodeTracing], assignments: Mapping[str, tuple[Assignment, ...]]
) -> tuple[NodeChange, ...]:
    """The NodeTracings that are missing, differ, or belong to a node of the same name that is no more."""
    changes = []
    for name, entries in assignments.items():
        tracing, facts = tracings.get(name), nodes.get(name)
        if facts is None:
            continue
        has = tracing.spec.policies if tracing is not None else ()
        owned = tracing is not None and any(one.get("uid") == facts.uid for one in tracing.metadata.owner_references)
        if not owned or has != entries:
            touches = frozenset(one.name for one in set(has) ^ set(entries))
            changes.append(NodeChange(name, facts.uid, entries, touches))
    return tuple(changes)


def revision_changes(revisions: Mapping[str, TracingRevision], planned: tuple[TracingRevision, ...]) -> tuple[TracingRevision, ...]:
    """The revisions to create. One of the same name that another policy of that name left behind does not count."""
    return tuple(
        one for one in planned if one.metadata.name not in revisions or revisions[one.metadata.name].spec.policy_uid != one.spec.policy_uid
    )


def released(changes: tuple[NodeChange, ...], held_policies: frozenset[str], missing_revisions: frozenset[str]) -> tuple[NodeChange, ...]:
    """The changes that may be written though the memory of ``held_policies`` could not be, nor ``missing_revisions`` be created."""
    return tuple(one for one in changes if not one.touches & held_policies and not one.revisions & missing_revisions)


def _memory(status: PolicyStatus) -> tuple[object, ...]:
    """What another replica must know to go on; a second more or less of progress is not worth a write."""
    return (
        status.observed_generation,
        status.revision,
        status.stable_revision,
        status.rollout.model_copy(update={"last_progress_time": None}),
    )


def _conditions(status: PolicyStatus) -> tuple[object, ...]:
    return tuple((one.type, one.status, one.reason, one.observed_generation) for one in status.conditions)
