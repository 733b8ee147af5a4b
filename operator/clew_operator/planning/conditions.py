"""``Ready``, ``Reconciling`` and ``Stalled``, by the rules of kstatus: what Argo CD, Flux and ``kubectl wait`` read.

``Ready`` is always there. The other two say what is not normal; at most one of them is True, and only while ``Ready`` is not.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from clew_crds.observed import Condition, Truth


class Standing(enum.StrEnum):
    """The condition that is True."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a policy stands, why as one word, and why for people."""

    standing: Standing
    reason: str
    message: str


def conditions(verdict: Verdict, generation: int, stored: Iterable[Condition], now: str) -> tuple[Condition, ...]:
    """The conditions to write. ``lastTransitionTime`` stays while a condition's status does."""
    since = {(old.type, old.status): old.last_transition_time for old in stored}
    found = []
    for kind in Standing:
        truth = Truth.TRUE if kind is verdict.standing else Truth.FALSE
        told = truth is Truth.TRUE or kind is Standing.READY
        found.append(
            Condition(
                type=kind.value,
                status=truth,
                observed_generation=generation,
                last_transition_time=since.get((kind.value, truth), now),
                reason=verdict.reason,
                message=verdict.message if told else "",
            )
        )
    return tuple(found)
