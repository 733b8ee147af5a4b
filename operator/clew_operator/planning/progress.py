"""How far the present step is: who has the new revision, who may get it, and who is waited for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clew_crds.answers import Answer
from clew_crds.status import NodeCounts

from clew_operator.planning.answers import NodeView
from clew_operator.planning.case import Case, Memory, Phase


@dataclass(frozen=True, slots=True)
class Progress:
    """The nodes of a step. ``wanted`` is how many are to have the newest revision at its end."""

    wanted: int
    told: tuple[NodeView, ...]
    untold: tuple[NodeView, ...]
    """Nodes that may be told: Ready in Kubernetes' sense, and without the newest revision."""
    waiting: tuple[NodeView, ...]
    """Nodes that were told, and have not answered that they enforce it."""

    @property
    def filled(self) -> int:
        """Places of the step that are taken. A node that cannot do it takes none: the next in order shows whether it works."""
        return sum(view.answer is not Answer.UNSUPPORTED for view in self.told)

    @property
    def ready(self) -> int:
        """Nodes that enforce the newest revision."""
        return sum(view.answer is Answer.READY for view in self.told)

    @property
    def failing(self) -> tuple[NodeView, ...]:
        """Nodes that could not enforce the newest revision."""
        return tuple(view for view in self.told if view.answer is Answer.FAILED)

    @property
    def away(self) -> tuple[NodeView, ...]:
        """Nodes that enforce the newest revision as far as is known, and are NotReady."""
        return tuple(view for view in self.told if view.answer is Answer.READY and not view.ready)

    @property
    def answered(self) -> bool:
        """Whether every place is taken, as far as there are nodes for it, and every node has answered. No node is no answer."""
        return bool(self.told) and not self.waiting and (self.filled >= self.wanted or not self.untold)


def measure(case: Case, memory: Memory, nodes: Iterable[NodeView]) -> Progress:
    """How far the step of ``memory`` is on ``nodes``.

    While a revision rolls out, a node that was told and went NotReady before it answered is waited for: it may be that very
    revision. Once the revision is stable it is not, since nodes always come and go.
    """
    nodes = tuple(nodes)
    told = tuple(view for view in nodes if view.told == case.newest)
    untold = tuple(view for view in nodes if view.told != case.newest and view.ready)
    steady = memory.phase(case.newest) is Phase.STEADY
    waiting = tuple(view for view in told if not view.settled and (view.ready or not steady))
    return Progress(_wanted(case, memory), told, untold, waiting)


def _wanted(case: Case, memory: Memory) -> int:
    step = max(1, memory.state.step)
    return case.rollout.steps[step - 1].amount.of(len(case.nodes))


def first_step(case: Case) -> int:
    """The step that a rollout begins with: 1, or as far as nodes have the revision already (after an operator lost its status)."""
    told = sum(view.told == case.newest and view.answer is not Answer.FAILED for view in case.nodes)
    amounts = [step.amount.of(len(case.nodes)) for step in case.rollout.steps]
    return max([number for number, amount in enumerate(amounts, 1) if 0 < amount <= told], default=1)


def count(newest: str, nodes: Iterable[NodeView], failed: int) -> NodeCounts:
    """The nodes of a status. ``failed`` are those that are remembered, though they were told another revision since."""
    nodes = tuple(nodes)
    answers = [view.answer for view in nodes if view.told == newest]
    return NodeCounts(
        desired=len(nodes),
        updated=len(answers),
        ready=answers.count(Answer.READY),
        failed=max(failed, answers.count(Answer.FAILED)),
        unsupported=answers.count(Answer.UNSUPPORTED),
        silent=answers.count(Answer.SILENT),
    )
