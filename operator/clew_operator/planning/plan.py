"""The decision: from the world as it is to the objects as they are to be.

Policies do not know of one another: each has its own rollout, also where they are enforced on the same nodes. What they share is a
node's list of assignments, which is put together here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from clew_crds.node import POLICIES_MAX, Assignment
from clew_crds.policy import TracingPolicy
from clew_crds.revision import TracingRevision
from clew_crds.status import PolicyStatus
from clew_crds.values import format_time

from clew_operator.planning.answers import NodeRecord, records
from clew_operator.planning.case import Case
from clew_operator.planning.conditions import Standing, Verdict, conditions
from clew_operator.planning.moments import clamped
from clew_operator.planning.overlaps import overlaps
from clew_operator.planning.revisions import by_policy, newest, owned, superfluous
from clew_operator.planning.rollout import look
from clew_operator.planning.status import status, transitions
from clew_operator.planning.world import Event, Plan, PolicyFacts, World


@dataclass(frozen=True, slots=True)
class _PolicyPlan:
    """What one policy adds to the plan. ``assignments`` has the nodes that are to enforce it."""

    status: PolicyStatus
    assignments: Mapping[str, Assignment]
    create: tuple[TracingRevision, ...] = ()
    delete: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    wake: datetime | None = None


def plan(world: World) -> Plan:
    """What the world is to become. The same world gives the same plan, and a world that is as planned is left alone until ``wake``."""
    nodes = records(world.nodes, world.tracings)
    revisions = by_policy(world.revisions)
    present = {name: facts for name, facts in sorted(world.policies.items()) if facts.policy.metadata.deletion_timestamp is None}
    seated = _seated([facts.policy for facts in present.values()], POLICIES_MAX - len(world.unreadable))
    plans = {
        name: _planned(world, facts, nodes, revisions.get(name, [])) if name in seated else _unseated(world, facts)
        for name, facts in present.items()
    }
    return Plan(
        create_revisions=tuple(revision for one in plans.values() for revision in one.create),
        delete_revisions=tuple(name for one in plans.values() for name in one.delete),
        assignments={record.facts.name: _assignments(record, plans.values(), world.unreadable) for record in nodes},
        statuses={name: one.status for name, one in plans.items()},
        events=tuple(event for one in plans.values() for event in one.events),
        wake=min((one.wake for one in plans.values() if one.wake is not None), default=None),
    )


def _planned(world: World, facts: PolicyFacts, nodes: Sequence[NodeRecord], revisions: Sequence[TracingRevision]) -> _PolicyPlan:
    """One policy at this look."""
    policy, before = facts.policy, clamped(facts.status, world.now)
    name, uid = policy.metadata.name, policy.metadata.uid or ""
    wish, mine = newest(policy), owned(revisions, uid)
    case = Case(
        name=name,
        rollout=policy.spec.rollout,
        newest=wish.metadata.name,
        revisions=frozenset(mine),
        request=mine[wish.metadata.name].request if wish.metadata.name in mine else None,
        nodes=tuple(record.view(name, uid) for record in nodes),
        facts=world.nodes,
        with_pods=world.placements.get(name, frozenset()),
        now=world.now,
    )
    found = look(case, before)
    told = {view.name: view.told for view in found.nodes if view.told is not None}
    entries = {revision: Assignment(name=name, uid=uid, revision=revision) for revision in set(told.values())}
    used = {case.newest, found.memory.stable, *entries, *(view.told for view in case.nodes)}
    written = status(case, found, before, policy.metadata.generation or 0, overlaps(name, world.overlaps.get(name, ())))
    return _PolicyPlan(
        status=written,
        assignments={node: entries[revision] for node, revision in told.items()},
        create=() if wish.metadata.name in world.revisions else (wish,),
        delete=superfluous(revisions, uid, used),
        events=(*found.events, *transitions(case, before, written)),
        wake=found.wake,
    )


def _seated(policies: Iterable[TracingPolicy], seats: int) -> frozenset[str]:
    """The policies that nodes have room for: the oldest, so that a new one never pushes another out."""
    by_age = sorted(policies, key=lambda policy: (str(policy.metadata.creation_timestamp or ""), policy.metadata.name))
    return frozenset(policy.metadata.name for policy in by_age[: max(0, seats)])


def _unseated(world: World, facts: PolicyFacts) -> _PolicyPlan:
    policy, before = facts.policy, clamped(facts.status, world.now)
    said = f"a node has room for {POLICIES_MAX} policies, and there are as many older ones; delete one of them, or merge some"
    how, generation = Verdict(Standing.STALLED, "TooManyPolicies", said), policy.metadata.generation or 0
    found = conditions(how, generation, before.conditions, format_time(world.now))
    return _PolicyPlan(before.model_copy(update={"observed_generation": generation, "message": said, "conditions": found}), {})


def _assignments(record: NodeRecord, plans: Iterable[_PolicyPlan], unreadable: Iterable[str]) -> tuple[Assignment, ...]:
    """What the node shall enforce: what the policies say, and what it was told before of those that this version cannot read."""
    node = record.facts.name
    entries = [record.entries[name] for name in unreadable if name in record.entries]
    entries += [one.assignments[node] for one in plans if node in one.assignments]
    return tuple(sorted(entries, key=lambda entry: entry.name))
