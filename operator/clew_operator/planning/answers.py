"""What a node was told of a policy, and what its agent has answered to that (by the rules of ``clew_crds.answers``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from clew_crds.answers import Answer, answer, answering, is_behind
from clew_crds.node import Assignment, NodeTracing, PolicyReport

from clew_operator.planning.world import NodeFacts


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
    said: Mapping[str, str]
    answers: Mapping[str, PolicyReport]
    behind: bool

    def view(self, policy: str, uid: str) -> NodeView:
        """The node as this policy sees it. An entry of a policy that was deleted and made again is not this one's."""
        entry = self.entries.get(policy)
        told = entry.revision if entry is not None and entry.uid == uid else None
        report = self.answers.get(policy) if told is not None else None
        return NodeView(self.facts.name, self.facts.ready, told, answer(report), self.said.get(policy), report, self.behind)


def records(nodes: Mapping[str, NodeFacts], tracings: Mapping[str, NodeTracing]) -> tuple[NodeRecord, ...]:
    """Every node of the world, by name."""
    return tuple(_record(nodes[name], tracings.get(name)) for name in sorted(nodes))


def _record(facts: NodeFacts, tracing: NodeTracing | None) -> NodeRecord:
    if tracing is None:
        return NodeRecord(facts, {}, {}, {}, behind=False)
    entries = {entry.name: entry for entry in tracing.spec.policies}
    said = {report.name: report.revision for report in tracing.status.policies}
    return NodeRecord(facts, entries, said, answering(tracing), is_behind(tracing))
