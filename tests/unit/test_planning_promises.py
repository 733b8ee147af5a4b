"""What the planner promises whatever happens: a simulated cluster in which people, nodes, agents and the operator do as they like."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from clew_crds.node import State
from clew_crds.status import PolicyStatus
from clew_crds.values import parse_amount
from clew_operator.planning.plan import plan
from clew_operator.planning.world import Plan
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.planning_world import Cluster

POLICIES = ("alpha", "beta")
NODES = tuple(f"n{number}" for number in range(1, 7))
SIZES = (1, 2, 3)
ROLLOUTS: tuple[dict[str, Any], ...] = (
    {},
    {"maxUnavailable": "1", "steps": [{"nodes": "1", "soak": "1m"}, {"nodes": "100%"}], "progressDeadline": "2m"},
    {"maxUnavailable": "2", "steps": [{"nodes": "1"}, {"nodes": "50%", "soak": "30s"}, {"nodes": "100%"}], "onFailure": "Pause"},
    {"maxUnavailable": "50%", "progressDeadline": "10s"},
    {"maxUnavailable": "2", "paused": True},
)
REASONS = {State.READY: "Attached", State.PENDING: "Building", State.FAILED: "FunctionNotFound", State.UNSUPPORTED: "NoBTF"}


class Promises(RuleBasedStateMachine):
    """``asked`` is, per node and policy, the generation of NodeTracing at which it was told something else."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.asked: dict[tuple[str, str], int] = {}
        self.behaviour: dict[tuple[str, int], State | None] = {}
        self.requests = 0

    # People

    @initialize(count=st.integers(0, len(NODES)), rollout=st.sampled_from(ROLLOUTS))
    def begin(self, count: int, rollout: dict[str, Any]) -> None:
        for name in NODES[:count]:
            self.cluster.add_node(name)
        self.cluster.apply("alpha", rollout=rollout)

    @rule(name=st.sampled_from(POLICIES), size=st.sampled_from(SIZES), rollout=st.none() | st.sampled_from(ROLLOUTS))
    def edit(self, name: str, size: int, rollout: dict[str, Any] | None) -> None:
        self.cluster.apply(name, size=size, rollout=rollout)

    @precondition(lambda self: self.cluster.policies)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.cluster.delete(data.draw(st.sampled_from(sorted(self.cluster.policies))))

    @rule(name=st.sampled_from(POLICIES), action=st.sampled_from(["Promote", "Abort", "Retry"]), step=st.integers(0, 3))
    def ask(self, name: str, action: str, step: int) -> None:
        status = self.cluster.statuses.get(name)
        if name in self.cluster.policies and status is not None and status.revision in self.cluster.revisions:
            self.requests += 1
            self.cluster.ask(name, f"r{self.requests}", action, step)

    @rule(data=st.data())
    def lose_a_revision(self, data: st.DataObject) -> None:
        if self.cluster.revisions:
            del self.cluster.revisions[data.draw(st.sampled_from(sorted(self.cluster.revisions)))]

    @rule(name=st.sampled_from(POLICIES))
    def lose_a_status(self, name: str) -> None:
        self.cluster.statuses.pop(name, None)

    # Nodes and agents

    @rule(name=st.sampled_from(NODES), ready=st.booleans())
    def come_or_turn(self, name: str, ready: bool) -> None:
        if name in self.cluster.nodes:
            self.cluster.set_ready(name, ready)
        else:
            self.cluster.add_node(name, ready=ready)

    @rule(name=st.sampled_from(NODES))
    def go(self, name: str) -> None:
        if name in self.cluster.nodes:
            self.cluster.remove_node(name)
            self.asked = {key: value for key, value in self.asked.items() if key[0] != name}

    @rule(name=st.sampled_from(NODES), size=st.sampled_from(SIZES), state=st.sampled_from([None, *State]))
    def behave(self, name: str, size: int, state: State | None) -> None:
        """From now on this node's agent answers so to revisions of this size; ``None`` is not at all."""
        self.behaviour[name, size] = state

    @rule(names=st.sets(st.sampled_from(NODES)))
    def answer(self, names: set[str]) -> None:
        for name in sorted(names & self.cluster.tracings.keys()):
            self._answer(name)

    def _answer(self, name: str) -> None:
        states = {}
        for entry in self.cluster.tracings[name].spec.policies:
            revision = self.cluster.revisions.get(entry.revision)
            size = revision.spec.enforced.limits.spans_per_request if revision is not None else 0
            state = self.behaviour.get((name, size), State.READY) if size else State.FAILED
            if state is None:
                return
            states[entry.name] = (state.value, REASONS[state], "")
        self.cluster.report(name, states)

    # Time and the operator

    @rule(seconds=st.sampled_from([1, 15, 45, 150, 3600, -5, -7200]))
    def time(self, seconds: int) -> None:
        self.cluster.now += timedelta(seconds=seconds)

    @rule()
    def look(self) -> None:
        self._carry_out(self._plan())

    @rule()
    def look_until_nothing_changes(self) -> None:
        self._rest()

    @rule(names=st.sets(st.sampled_from(NODES)), statuses=st.booleans())
    def die_in_a_look(self, names: set[str], statuses: bool) -> None:
        """The operator ends when it has written some NodeTracings, and perhaps the statuses."""
        self._carry_out(self._plan(), names, statuses)

    def _plan(self) -> Plan:
        planned = plan(self.cluster.world())
        assert planned == plan(self.cluster.world())
        assert planned.wake is None or planned.wake > self.cluster.now
        return planned

    def _carry_out(self, planned: Plan, names: Iterable[str] | None = None, statuses: bool = True) -> None:
        """Carry out the plan for the nodes of these names (of all), with or without its statuses, and hold it to the promises."""
        written = {name: told for name, told in planned.assignments.items() if names is None or name in names}
        before = {name: self._told(name) for name in self.cluster.policies}
        changing = {name: self._changing(name) for name in self.cluster.policies}
        broken = {name: self._broken(name) for name in self.cluster.policies}
        stepped = {name: self._in_step(name) for name in self.cluster.policies}
        gone = self._gone()
        self.cluster.carry_out(replace(planned, assignments=written, statuses=planned.statuses if statuses else {}))
        retried = {event.policy for event in planned.events if event.reason == "Retried"}
        for name in self.cluster.policies:
            for node in self.cluster.tracings:
                if self._told(name).get(node) != before[name].get(node):
                    self.asked[node, name] = self.cluster.tracings[node].metadata.generation
            fresh = [node for node, told in self._told(name).items() if told != before[name].get(node)]
            assert all(self._told(name)[node] in self.cluster.revisions for node in fresh), "told a revision that does not exist"
            self._assert_within_budget(name, changing[name] | {node for node, policy in gone if policy == name})
            newest = self.cluster.newest(name)
            if broken[name] and name not in retried:
                assert not [node for node in fresh if self._told(name)[node] == newest], "told beyond a failing step"
            self._assert_within_step(planned.statuses[name], name, stepped[name])

    def _assert_within_budget(self, name: str, before: set[str]) -> None:
        most = parse_amount(self.cluster.policies[name].spec.rollout.max_unavailable).of(len(self.cluster.nodes))
        changing = self._changing(name)
        assert changing <= before or len(changing) <= most, f"{name}: {sorted(changing)} are changing, {most} may"

    def _assert_within_step(self, status: PolicyStatus, name: str, before: int) -> None:
        if status.stable_revision == status.revision:
            return
        step = self.cluster.policies[name].spec.rollout.steps[status.rollout.step - 1]
        assert self._in_step(name) <= max(before, step.amount.of(len(self.cluster.nodes)))

    def _in_step(self, name: str) -> int:
        """Nodes that have the newest revision, without those that have said that they cannot."""
        newest = self.cluster.newest(name)
        return sum(told == newest and self._state(node, name) is not State.UNSUPPORTED for node, told in self._told(name).items())

    def _told(self, name: str) -> dict[str, str]:
        return self.cluster.told(name)

    def _state(self, node: str, name: str) -> State | None:
        """What the node's agent last said of what it is told, if it has said something since it was told."""
        tracing, told = self.cluster.tracings[node], self._told(name).get(node)
        if tracing.status.observed_generation < self.asked.get((node, name), 0):
            return None
        return next((one.state for one in tracing.status.policies if one.name == name and one.revision == told), None)

    def _changing(self, name: str) -> set[str]:
        told = {node for node in self._told(name) if self._state(node, name) not in (State.READY, State.UNSUPPORTED)}
        left = {
            node
            for node, tracing in self.cluster.tracings.items()
            if node not in self._told(name) and any(report.name == name for report in tracing.status.policies)
        }
        return told | left

    def _gone(self) -> set[tuple[str, str]]:
        """Entries of a policy that was deleted and made again: they go at once, as those of any policy that is deleted."""
        uids = {name: policy.metadata.uid for name, policy in self.cluster.policies.items()}
        return {
            (node, entry.name)
            for node, tracing in self.cluster.tracings.items()
            for entry in tracing.spec.policies
            if entry.uid != uids.get(entry.name)
        }

    def _broken(self, name: str) -> bool:
        """Whether a node has answered that it cannot enforce the newest revision, which is not the stable one."""
        newest, status = self.cluster.newest(name), self.cluster.statuses.get(name)
        if status is not None and status.stable_revision == newest:
            return False
        if status is not None and status.rollout.failed_revision == newest:
            return True
        return any(told == newest and self._state(node, name) is State.FAILED for node, told in self._told(name).items())

    def _rest(self) -> None:
        """Looks until nothing changes; that is soon."""
        for _ in range(20):
            before = self.cluster.snapshot()
            planned = self._plan()
            self._carry_out(planned)
            if self.cluster.snapshot() == before:
                assert planned.events == ()
                return
        raise AssertionError("never rests")

    @invariant()
    def statuses_are_sound(self) -> None:
        for status in self.cluster.statuses.values():
            truths = [condition.type for condition in status.conditions if condition.status == "True"]
            assert len(truths) == 1, truths
            assert len(json.dumps(status.document())) < 4096
            assert status.message

    def teardown(self) -> None:
        """The faults end, agents answer, time passes: every policy is Ready or Stalled before long, and then nothing changes."""
        self.behaviour = {key: State.UNSUPPORTED for key, state in self.behaviour.items() if state is State.UNSUPPORTED}
        for name in self.cluster.nodes:
            self.cluster.set_ready(name, True)
        for name, policy in self.cluster.policies.items():
            rollout = policy.spec.rollout.model_dump(by_alias=True, mode="json")
            self.cluster.apply(name, size=policy.spec.limits.spans_per_request, rollout={**rollout, "paused": False})
        for _ in range(60):
            world, before = self.cluster.world(), self.cluster.snapshot()
            planned = self._plan()
            self._carry_out(planned)
            for name in self.cluster.silent():
                self._answer(name)
            if self.cluster.snapshot() == before and planned.wake is not None:
                self.cluster.now = planned.wake
            if self.cluster.world() == world:
                break  # a look decides by the world alone: all that follow are this one again
        for name in self.cluster.policies:
            standing = self.cluster.conditions(name)
            assert "True" in (standing["Ready"], standing["Stalled"]), self.cluster.statuses[name].message
        assert self.cluster.snapshot() == before
        assert planned.wake is None


TestPromises = Promises.TestCase
TestPromises.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
