"""A cluster of values for tests of the planner: what an API server would keep, agents that answer as told, and a clock.

Named as a simulation: it applies a ``Plan`` as the controller does (revisions first, then NodeTracings, then statuses; no-op writes
change nothing) and keeps the rules of an API server that the planner relies on (generations, uids).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from clew_crds.node import Assignment, NodeSpec, NodeTracing, PolicyReport, State
from clew_crds.policy import TracingPolicy
from clew_crds.revision import TracingRevision, enforced, revision_name
from clew_crds.status import PolicyStatus
from clew_crds.values import format_time
from clew_operator.planning.plan import plan
from clew_operator.planning.world import Event, NodeFacts, Plan, PolicyFacts, World

START = datetime(2026, 11, 25, 10, 0, 0, tzinfo=UTC)
THREE_STEPS = [{"nodes": "1", "soak": "2m"}, {"nodes": "30%", "soak": "5m"}, {"nodes": "100%"}]

NOT_FOUND = "no kernel function tcp_sendmsgg; near: tcp_sendmsg"


class Cluster:
    """What exists, and the time. ``look()`` is one look of the operator, carried out in full."""

    def __init__(self, nodes: int = 0) -> None:
        self.now = START
        self.policies: dict[str, TracingPolicy] = {}
        self.statuses: dict[str, PolicyStatus] = {}
        self.revisions: dict[str, TracingRevision] = {}
        self.nodes: dict[str, NodeFacts] = {}
        self.tracings: dict[str, NodeTracing] = {}
        self.placements: dict[str, frozenset[str]] = {}
        self.overlaps: dict[str, frozenset[str]] = {}
        self.unreadable: frozenset[str] = frozenset()
        self.events: list[Event] = []
        self.made = 0
        for number in range(1, nodes + 1):
            self.add_node(f"n{number}")

    # What people and Kubernetes do

    def apply(self, name: str, *, size: int = 1, rollout: dict[str, Any] | None = None) -> str:
        """Create or edit a policy; ``size`` is in what is enforced, so another one makes another revision. Returns its name."""
        old = self.policies.get(name)
        if old is None:
            self.made += 1
        spec = {
            "namespaces": ["shop"],
            "limits": {"spansPerRequest": size},
            "rollout": rollout if rollout is not None else {} if old is None else old.spec.rollout.model_dump(by_alias=True, mode="json"),
        }
        metadata = {
            "name": name,
            "uid": f"uid-{name[:8]}-{self.made}" if old is None else old.metadata.uid,
            "creationTimestamp": format_time(self.now) if old is None else old.metadata.creation_timestamp,
        }
        document = {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "metadata": metadata, "spec": spec}
        policy = TracingPolicy.model_validate(document)
        changed = old is not None and old.spec != policy.spec
        generation = 1 if old is None else (old.metadata.generation or 0) + changed
        self.policies[name] = policy.model_copy(update={"metadata": policy.metadata.model_copy(update={"generation": generation})})
        return self.newest(name)

    def newest(self, name: str) -> str:
        return revision_name(name, enforced(self.policies[name].spec))

    def delete(self, name: str) -> None:
        """Delete a policy, and by garbage collection its revisions."""
        del self.policies[name]
        self.statuses.pop(name, None)
        self.revisions = {key: revision for key, revision in self.revisions.items() if revision.spec.policy != name}

    def ask(self, name: str, identifier: str, action: str, step: int = 0) -> None:
        """``kubectl clew promote|abort|retry``: a request on the newest revision."""
        key = self.statuses[name].revision or ""
        document = {**self.revisions[key].document(), "request": {"id": identifier, "action": action, "step": step}}
        self.revisions[key] = TracingRevision.model_validate(document)

    def add_node(self, name: str, zone: str = "", kernel: str = "", ready: bool = True) -> None:
        self.made += 1
        self.nodes[name] = NodeFacts(name, f"uid-{name}-{self.made}", ready, zone, kernel)

    def set_ready(self, name: str, ready: bool) -> None:
        node = self.nodes[name]
        self.nodes[name] = NodeFacts(node.name, node.uid, ready, node.zone, node.kernel)

    def remove_node(self, name: str) -> None:
        del self.nodes[name]
        self.tracings.pop(name, None)

    def wait(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    # What agents do

    def answer(self, *names: str, state: str = "Ready", reason: str = "Attached", message: str = "") -> None:
        """The agents of these nodes (of all, if none is named) report on each policy that they were told."""
        for name in names or tuple(self.tracings):
            self.report(name, {entry.name: (state, reason, message) for entry in self.tracings[name].spec.policies})

    def fail(self, *names: str) -> None:
        """The agents of these nodes (of all, if none is named) report that they cannot enforce what they were told."""
        self.answer(*names, state="Failed", reason="FunctionNotFound", message=NOT_FOUND)

    def report(self, name: str, states: dict[str, tuple[str, str, str]]) -> None:
        """One agent's report: what it says of each policy that it was told; policies that are not named keep their report."""
        tracing = self.tracings[name]
        old = {report.name: report for report in tracing.status.policies}
        reports = []
        for entry in tracing.spec.policies:
            if entry.name in states:
                state, reason, message = states[entry.name]
                reports.append(PolicyReport(name=entry.name, revision=entry.revision, state=State(state), reason=reason, message=message))
            elif entry.name in old:
                reports.append(old[entry.name])
        status = tracing.status.model_copy(
            update={"observed_generation": tracing.metadata.generation, "policies": tuple(reports)},
        )
        self.tracings[name] = tracing.model_copy(update={"status": status})

    # What the operator does

    def world(self) -> World:
        policies = {name: PolicyFacts(policy, self.statuses.get(name, PolicyStatus())) for name, policy in self.policies.items()}
        return World(
            now=self.now,
            policies=policies,
            revisions=dict(self.revisions),
            nodes=dict(self.nodes),
            tracings=dict(self.tracings),
            placements=dict(self.placements),
            overlaps=dict(self.overlaps),
            unreadable=self.unreadable,
        )

    def look(self) -> Plan:
        """One look, carried out."""
        planned = plan(self.world())
        self.carry_out(planned)
        return planned

    def looks(self, most: int = 10) -> Plan:
        """Looks until one changes nothing."""
        for _ in range(most):
            before = self.snapshot()
            planned = self.look()
            if self.snapshot() == before:
                return planned
        raise AssertionError(f"still changing after {most} looks")

    def carry_out(self, planned: Plan) -> None:
        for revision in planned.create_revisions:
            assert revision.metadata.name not in self.revisions
            metadata = revision.metadata.model_copy(update={"creation_timestamp": format_time(self.now)})
            self.revisions[revision.metadata.name] = revision.model_copy(update={"metadata": metadata})
        for name in planned.delete_revisions:
            del self.revisions[name]
        for name, entries in planned.assignments.items():
            self._write_node(name, entries)
        for name, status in planned.statuses.items():
            self.statuses[name] = PolicyStatus.model_validate(status.document())
        self.events += planned.events

    def _write_node(self, name: str, entries: tuple[Assignment, ...]) -> None:
        old = self.tracings.get(name)
        if old is None:
            metadata = {"name": name, "uid": f"tracing-{self.nodes[name].uid}", "generation": 1}
            document = {"apiVersion": "clew.dev/v1alpha1", "kind": "NodeTracing", "metadata": metadata}
            self.tracings[name] = NodeTracing.model_validate(document).model_copy(update={"spec": NodeSpec(policies=entries)})
        elif old.spec.policies != entries:
            metadata_ = old.metadata.model_copy(update={"generation": old.metadata.generation + 1})
            self.tracings[name] = old.model_copy(update={"metadata": metadata_, "spec": NodeSpec(policies=entries)})

    def snapshot(self) -> tuple[object, ...]:
        """Everything that the operator writes."""
        specs = {name: (tracing.metadata.generation, tracing.spec) for name, tracing in self.tracings.items()}
        return specs, dict(self.statuses), tuple(self.revisions)

    # What tests ask

    def told(self, policy: str) -> dict[str, str]:
        """The nodes that have an entry of the policy, and its revision."""
        return {
            name: entry.revision
            for name, tracing in sorted(self.tracings.items())
            for entry in tracing.spec.policies
            if entry.name == policy
        }

    def having(self, policy: str, revision: str) -> list[str]:
        """The nodes that are told this revision."""
        return [name for name, told in self.told(policy).items() if told == revision]

    def conditions(self, policy: str) -> dict[str, str]:
        """Type and status of the policy's conditions."""
        return {condition.type: condition.status.value for condition in self.statuses[policy].conditions}

    def reason(self, policy: str) -> str:
        """The reason of the policy's condition Ready."""
        return self.statuses[policy].conditions[0].reason

    def times(self, policy: str) -> dict[str, str]:
        """Type and time of day of the last transition of the policy's conditions."""
        return {condition.type: condition.last_transition_time[11:19] for condition in self.statuses[policy].conditions}

    def take_events(self) -> list[tuple[str, str]]:
        """Reason and message of the events since this was asked last."""
        found = [(event.reason, event.message) for event in self.events]
        self.events.clear()
        return found

    def roll_out(self, policy: str, most: int = 200) -> None:
        """Let every agent answer Ready, and time pass, until the policy is Ready."""
        for _ in range(most):
            planned = self.looks()
            if self.conditions(policy)["Ready"] == "True":
                return
            if self.silent():
                self.answer(*self.silent())
            elif planned.wake is not None:
                self.now = planned.wake
        raise AssertionError(f"not Ready: {self.statuses[policy].message}")

    def silent(self) -> list[str]:
        """Nodes whose agent has not seen the newest spec."""
        return [name for name, one in self.tracings.items() if one.status.observed_generation < one.metadata.generation]
