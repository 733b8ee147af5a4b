"""How a change to a policy reaches the nodes: the part of a policy that the operator alone reads."""

from __future__ import annotations

import enum
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from clew_crds.base import Bool, Model, Text
from clew_crds.rules import Rule, refuse
from clew_crds.values import AMOUNT_PATTERN, DURATION_PATTERN, Amount, parse_amount, parse_duration

_WEEK = 7 * 24 * 3600 * 10**9


def _at_most_a_week(text: str) -> None:
    if parse_duration(text) > _WEEK:
        raise ValueError(text)


def _ten_seconds_to_a_week(text: str) -> None:
    if parse_duration(text) < 10 * 10**9:
        raise ValueError(text)
    _at_most_a_week(text)


NodeAmount = Annotated[
    str, Text(AMOUNT_PATTERN, 6, 'a string: a count of nodes from "1" to "999999", or a percentage from "1%" to "100%"', parse_amount)
]
_CEL_AT_MOST_A_WEEK = "duration(self) <= duration('168h')"
_CEL_TEN_SECONDS_TO_A_WEEK = f"duration(self) >= duration('10s') && {_CEL_AT_MOST_A_WEEK}"
LongDuration = Annotated[
    str, Text(DURATION_PATTERN, 32, 'a duration up to "168h", such as "2m" or "1h30m"', _at_most_a_week, cel=_CEL_AT_MOST_A_WEEK)
]
Deadline = Annotated[
    str,
    Text(DURATION_PATTERN, 32, 'a duration from "10s" to "168h", such as "10m"', _ten_seconds_to_a_week, cel=_CEL_TEN_SECONDS_TO_A_WEEK),
]


class OnFailure(enum.StrEnum):
    """What a failed step leads to."""

    ROLLBACK = "Rollback"
    PAUSE = "Pause"


class RolloutStep(Model):
    """One step: how many nodes have the new revision at its end, and how long they must stay healthy."""

    nodes: NodeAmount
    """Nodes that have the new revision when the step is done: a count, or a percentage of all nodes."""
    soak: LongDuration = "0s"
    """How long the nodes of this step must stay healthy before the next step begins."""

    @property
    def amount(self) -> Amount:
        """``nodes``, parsed."""
        return parse_amount(self.nodes)

    @property
    def soak_ns(self) -> int:
        """``soak`` in nanoseconds."""
        return parse_duration(self.soak)


STEPS_MAX = 16

# CEL has no index in its loops, so the rule goes over the numbers that an index may be. Steps that are no amounts are refused by a
# rule of their own; here they would fail int().
_NUMBERS = list(range(STEPS_MAX))
_LATER = "i >= j || j >= size(self.steps)"
_OTHER_SORT = "self.steps[i].nodes.endsWith('%') != self.steps[j].nodes.endsWith('%')"
_MORE = "int(self.steps[i].nodes.replace('%', '')) < int(self.steps[j].nodes.replace('%', ''))"
_GROW = Rule(
    f"!has(self.steps) || !self.steps.all(s, s.nodes.matches(r'{AMOUNT_PATTERN}')) || "
    f"{_NUMBERS}.all(i, {_NUMBERS}.all(j, {_LATER} || {_OTHER_SORT} || {_MORE}))",
    "more than in the step before",
    "steps",
    part="nodes",
)
_LAST = Rule(
    "!has(self.steps) || size(self.steps) == 0 || self.steps[size(self.steps) - 1].nodes == '100%'",
    '"100%" in the last step',
    "steps",
    part="nodes",
)


class Rollout(Model):
    """The order and the pace in which nodes get a changed policy."""

    RULES: ClassVar = (_GROW, _LAST)

    paused: Bool = False
    """Whether the rollout stands still where it is."""
    max_unavailable: NodeAmount = "10%"
    """How many nodes may be changing at one time: a count, or a percentage of all nodes."""
    steps: Annotated[tuple[RolloutStep, ...], Field(min_length=1, max_length=STEPS_MAX)] = (RolloutStep(nodes="100%"),)
    """The steps, each with more nodes than the one before; the last one has 100%."""
    progress_deadline: Deadline = "10m"
    """A step that has made no progress for so long has failed."""
    on_failure: OnFailure = OnFailure.ROLLBACK
    """What happens when a step fails: Rollback to the last stable revision, or Pause."""

    @property
    def progress_deadline_ns(self) -> int:
        """``progressDeadline`` in nanoseconds."""
        return parse_duration(self.progress_deadline)

    @property
    def holds_failed(self) -> bool:
        """Whether nodes keep a revision that has failed, until somebody aborts it."""
        return self.paused or self.on_failure is OnFailure.PAUSE

    @model_validator(mode="after")
    def _steps_grow(self) -> Rollout:
        found = []
        last = {False: 0, True: 0}
        for number, step in enumerate(self.steps):
            amount = step.amount
            if amount.number <= last[amount.percent]:
                found.append(_GROW.refusal(step.nodes, "steps", number, "nodes"))
            last[amount.percent] = max(last[amount.percent], amount.number)
        if self.steps[-1].nodes != "100%":
            found.append(_LAST.refusal(self.steps[-1].nodes, "steps", len(self.steps) - 1, "nodes"))
        refuse(found)
        return self
