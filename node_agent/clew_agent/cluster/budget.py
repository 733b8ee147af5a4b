"""What a policy lets the agent cost on a node (``spec.limits.overhead``), held against what it costs. Pure.

A policy is over its budget when a few looks in a row say so: one costly moment is none. It stays so for as long as its revision is to be
enforced, so that a rollout that was stopped for it does not go on because nothing is traced any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clew_crds.policy import Overhead

LOOK_S = 20.0
"""Seconds between two looks; a look is at what was spent since the one before."""

LOOKS = 3
"""Looks in a row that say a budget is exceeded, until it is."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """By revision: ``over`` looks in a row that exceeded its budget, and of those ``exceeded`` for good what to say of it."""

    over: Mapping[str, int] = field(default_factory=dict)
    exceeded: Mapping[str, str] = field(default_factory=dict)

    def look(self, limits: Mapping[str, Overhead], cpu_millicores: int, memory_mib: int) -> Budgets:
        """What is known after one more look. ``limits`` are those of the revisions that are in force."""
        over, exceeded = {}, {revision: said for revision, said in self.exceeded.items() if revision in limits}
        for revision, limit in limits.items():
            if said := _complaint(limit, cpu_millicores, memory_mib):
                over[revision] = self.over.get(revision, 0) + 1
                if over[revision] >= LOOKS:
                    exceeded.setdefault(revision, said)
        return Budgets(over, exceeded)


def is_limited(limit: Overhead) -> bool:
    """Whether there is a budget at all."""
    return limit.cpu_millicores is not None or limit.memory_mib is not None


def _complaint(limit: Overhead, cpu_millicores: int, memory_mib: int) -> str:
    """What is too much; empty where nothing is."""
    found = []
    if limit.cpu_millicores is not None and cpu_millicores > limit.cpu_millicores:
        found.append(f"{cpu_millicores} millicores, where limits.overhead.cpuMillicores allows {limit.cpu_millicores}")
    if limit.memory_mib is not None and memory_mib > limit.memory_mib:
        found.append(f"{memory_mib} MiB, where limits.overhead.memoryMiB allows {limit.memory_mib}")
    return f"the agent takes {' and '.join(found)}" if found else ""
