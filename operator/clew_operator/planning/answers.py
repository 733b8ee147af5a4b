"""What a node was told of a policy, and what its agent has answered to that.

An answer counts only for the revision that it names, and no data is not health: a node is healthy when it says so, never before.
Names alone do not always tell: a node that is told X, Y and X again may show its old answer to X until its agent has looked. So when a
status is behind the node's spec though every report in it fits, its answers are taken for old ones. Otherwise it is another policy's
change that the agent has not seen yet, and this policy's answer stands.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from clew_crds.node import Assignment, NodeTracing, PolicyReport

from clew_operator.planning.world import NodeFacts


class Answer(enum.StrEnum):
    """How far a node is with what it was told."""

    SILENT = "Silent"
    PENDING = "Pending"
    READY = "Ready"
    FAILED = "Failed"
    UNSUPPORTED = "Unsupported"


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node as one policy sees it. ``said`` is the revision that the agent's last report is about, whatever the node is told."""

    name: str
    ready: bool
    told: str | None = None
    answer: Answer = Answer.SILENT
    said: str | None = None
    report: PolicyReport | None = None
    behind: bool = False
    """Whether the agent has not seen the node's newest spec, whichever policy it was changed for."""

    @property
    def settled(self) -> bool:
        """Whether the node has answered that it enforces what it was told, or cannot."""
        return self.answer in (Answer.READY, Answer.UNSUPPORTED)

    @property
    def unanswered(self) -> bool:
        """Whether the node owes an answer. One that was told to let go of the policy does until its report is gone."""
        return not self.settled if self.told is not None else self.said is not None

    @property
    def changing(self) -> bool:
        """Whether the node's programs are, or may be, on their way to something else: an agent swaps those of all policies at once."""
        return self.unanswered or (self.told is not None and self.behind)

    def retold(self, revision: str | None) -> NodeView:
        """The node after it is told another revision, or none."""
        return replace(self, told=revision, answer=Answer.SILENT, report=None, behind=True)


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node and its NodeTracing, ready to be asked for each policy."""

    facts: NodeFacts
    entries: Mapping[str, Assignment]
    reports: Mapping[str, PolicyReport]
    behind: bool
    unexplained: bool
    """Whether the status is behind the spec though every report fits it."""

    def view(self, policy: str, uid: str) -> NodeView:
        """The node as this policy sees it. An entry of a policy that was deleted and made again is not this one's."""
        entry, report = self.entries.get(policy), self.reports.get(policy)
        told = entry.revision if entry is not None and entry.uid == uid else None
        said = report.revision if report is not None else None
        if report is None or told is None or said != told or self.unexplained:
            return NodeView(self.facts.name, self.facts.ready, told, said=said, behind=self.behind)
        return NodeView(self.facts.name, self.facts.ready, told, Answer(report.state.value), said, report, self.behind)


def records(nodes: Mapping[str, NodeFacts], tracings: Mapping[str, NodeTracing]) -> tuple[NodeRecord, ...]:
    """Every node of the world, by name."""
    return tuple(_record(nodes[name], tracings.get(name)) for name in sorted(nodes))


def _record(facts: NodeFacts, tracing: NodeTracing | None) -> NodeRecord:
    if tracing is None:
        return NodeRecord(facts, {}, {}, False, False)
    entries = {entry.name: entry for entry in tracing.spec.policies}
    reports = {report.name: report for report in tracing.status.policies}
    behind = tracing.status.observed_generation < tracing.metadata.generation
    fits = {name: entry.revision for name, entry in entries.items()} == {name: report.revision for name, report in reports.items()}
    return NodeRecord(facts, entries, reports, behind, behind and fits)
