"""One look at the world: gather it, have it planned, write what differs.

The order of writes is what makes it safe to end at any point (``changes.py``): revisions, then statuses, then what nodes enforce,
then what nobody needs any longer. Events are published for statuses that were written, so a transition is told once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clew_crds.observed import Truth
from clew_crds.status import PolicyStatus

from clew_operator import unreadable
from clew_operator.changes import Departures, Pace, StatusChange, node_changes, released, revision_changes, status_changes
from clew_operator.clock import SteadyClock
from clew_operator.events import Events
from clew_operator.gather import Unreadable, make_world
from clew_operator.knowledge import Knowledge
from clew_operator.metrics import STATES, Metrics
from clew_operator.planning.world import Event, Plan, PolicyFacts, World
from clew_operator.writer import Outcome, Writer


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a look: whether all was written, and whether anything was.

    ``wake`` is when to look again though nothing changes, by the monotonic clock.
    """

    complete: bool
    wrote: bool = False
    retry_after: float = 0.0
    wake: float | None = None


class Look:
    """Looks, as often as it is asked to; remembers only what may be lost."""

    def __init__(
        self,
        knowledge: Knowledge,
        plan: Callable[[World], Plan],
        writer: Writer,
        events: Events,
        metrics: Metrics,
        clock: SteadyClock,
    ) -> None:
        self._knowledge = knowledge
        self._plan = plan
        self._writer = writer
        self._events = events
        self._metrics = metrics
        self._clock = clock
        self._pace = Pace()
        self._departures = Departures()

    def once(self) -> Verdict:
        """Look, and write what differs as far as that is possible."""
        policies = self._knowledge.policies.snapshot()
        world = self._gather(policies)
        plan = self._timed(world)
        refused = {name: one for name, one in policies.items() if isinstance(one, Unreadable)}
        statuses = {**plan.statuses, **{name: unreadable.status_of(one, world.now) for name, one in refused.items()}}
        events = (*plan.events, *(event for one in refused.values() for event in unreadable.event_of(one)))
        self._count(statuses, len(world.nodes))

        revisions = self._writer.create_revisions(revision_changes(world.revisions, plan.create_revisions))
        before = {name: one.status for name, one in policies.items()}
        uids = {name: _uid(one) for name, one in policies.items()}
        changes = status_changes(before, uids, statuses, self._pace, time.monotonic())
        told = self._write_statuses(changes.now, events)
        held = frozenset(one.policy for one in changes.now if one.memory and one.policy in told.missed)

        nodes = node_changes(world.nodes, world.tracings, plan.assignments)
        free = released(nodes, held, frozenset(revisions.missed))
        self._metrics.count("writes_held_back", len(nodes) - len(free))
        outcomes = [revisions, told, self._writer.write_tracings(free)]
        due, departure = self._departures.due(world.tracings, world.nodes, time.monotonic())
        if not any(one.missed for one in outcomes):
            unused = [world.revisions[name] for name in plan.delete_revisions if name in world.revisions]
            outcomes += [self._writer.delete_revisions(unused), self._writer.delete_tracings(world.tracings[name] for name in due)]
        wake = time.monotonic() + (plan.wake - self._clock.now()).total_seconds() if plan.wake is not None else None
        return Verdict(
            complete=not any(one.missed for one in outcomes),
            wrote=any(one.wrote for one in outcomes),
            retry_after=max(one.retry_after for one in outcomes),
            wake=min((when for when in (wake, changes.next, departure) if when is not None), default=None),
        )

    def _gather(self, policies: Mapping[str, PolicyFacts | Unreadable]) -> World:
        knowledge = self._knowledge
        return make_world(
            self._clock.now(),
            policies,
            knowledge.revisions.snapshot(),
            knowledge.nodes.snapshot(),
            knowledge.tracings.snapshot(),
            knowledge.pods,
            knowledge.namespaces.snapshot(),
        )

    def _timed(self, world: World) -> Plan:
        began = time.monotonic()
        plan = self._plan(world)
        self._metrics.observe("plan_seconds", time.monotonic() - began)
        return plan

    def _write_statuses(self, changes: tuple[StatusChange, ...], events: tuple[Event, ...]) -> Outcome:
        outcome = self._writer.write_statuses(changes)
        for change in changes:
            if change.policy not in outcome.missed:
                self._pace.wrote(change.policy, time.monotonic())
                self._events.publish((event for event in events if event.policy == change.policy), change.uid)
        return outcome

    def _count(self, statuses: Mapping[str, PolicyStatus], nodes: int) -> None:
        counts = Counter(_state(status) for status in statuses.values())
        for state in STATES:
            self._metrics.set("policies", counts[state], state=state)
        self._metrics.set("nodes", nodes)


def _state(status: PolicyStatus) -> str:
    true = {one.type for one in status.conditions if one.status is Truth.TRUE}
    return "stalled" if "Stalled" in true else "ready" if "Ready" in true else "progressing"


def _uid(policy: PolicyFacts | Unreadable) -> str:
    return policy.uid if isinstance(policy, Unreadable) else policy.policy.metadata.uid or ""
