"""Which node is next: those that run selected pods first, then spread over zones and kernel versions.

A fault of a new revision shows where there are requests, and most differences between nodes lie in their kernels and zones: so the
first few nodes are to have as many of each as there are. The same nodes give the same order, for every replica of the operator.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, zip_longest

from clew_operator.planning.world import NodeFacts


def ordered(nodes: Iterable[NodeFacts], with_pods: frozenset[str], seed: str) -> list[str]:
    """The names of ``nodes`` in the order of a rollout. ``seed`` makes the order of equal nodes another one for each policy."""
    hashed = sorted(nodes, key=lambda node: (_digest(f"{seed}/{node.name}"), node.name))
    busy = [node for node in hashed if node.name in with_pods]
    idle = [node for node in hashed if node.name not in with_pods]
    return [node.name for node in chain(_spread(busy), _spread(idle))]


def _spread(nodes: list[NodeFacts]) -> Iterator[NodeFacts]:
    """Round robin over zones; each zone goes round the kernel versions, beginning one further than the zone before."""
    zones = _grouped(nodes, lambda node: node.zone)
    kernels = sorted({node.kernel for node in nodes})
    rounds = []
    for number, zone in enumerate(zones):
        found = dict(zip(sorted({node.kernel for node in zone}), _grouped(zone, lambda node: node.kernel), strict=True))
        start = number % len(kernels)
        rounds.append(_alternated([found[kernel] for kernel in kernels[start:] + kernels[:start] if kernel in found]))
    return _alternated(rounds)


def _grouped(nodes: list[NodeFacts], key: Callable[[NodeFacts], str]) -> list[list[NodeFacts]]:
    groups: dict[str, list[NodeFacts]] = defaultdict(list)
    for node in nodes:
        groups[key(node)].append(node)
    return [groups[name] for name in sorted(groups)]


def _alternated(groups: Iterable[Iterable[NodeFacts]]) -> Iterator[NodeFacts]:
    """One of each group, again and again."""
    return (node for row in zip_longest(*groups) for node in row if node is not None)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
