"""Policies that select the same pods. Every function that any of them names is recorded; all other settings are those of the policy
whose name comes first. The agents merge so (``clew_agent.enforcement``); here it is told.
"""

from __future__ import annotations

from collections.abc import Iterable

from clew_crds.status import OVERLAPS_MAX, Overlap


def overlaps(policy: str, others: Iterable[str]) -> tuple[Overlap, ...]:
    """What the policy's status says of the others that select some of its pods: the first few, by name."""
    return tuple(Overlap(policy=other, rules=other < policy) for other in sorted(set(others) - {policy})[:OVERLAPS_MAX])
