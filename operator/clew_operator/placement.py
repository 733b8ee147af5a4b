"""On which nodes pods run that a policy selects, and which policies select the same pods. Pure.

Pods of one workload have the same labels, so they are kept as groups of (namespace, labels) with a count for each node: a policy is
held against a few hundred groups rather than against every pod of the cluster.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clew_crds.policy import TracingPolicy
from clew_crds.selectors import selects


class Pod(NamedTuple):
    """All that is kept of a pod that runs."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    node: str


@dataclass(frozen=True, slots=True)
class Selection:
    """By policy: the nodes with a pod that it selects, and the other policies that select some of the same pods."""

    placements: Mapping[str, frozenset[str]]
    overlaps: Mapping[str, frozenset[str]]


class PodGroups:
    """How many pods of each namespace and set of labels run on each node. For any thread."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, tuple[tuple[str, str], ...]], Counter[str]] = {}
        self._lock = threading.Lock()

    def observe(self, old: Pod | None, new: Pod | None) -> None:
        """Take in that ``old`` became ``new``; None stands for no pod."""
        with self._lock:
            if old is not None:
                group = self._groups[old.namespace, old.labels]
                group[old.node] -= 1
                if not group[old.node]:
                    del group[old.node]
                if not group:
                    del self._groups[old.namespace, old.labels]
            if new is not None:
                self._groups.setdefault((new.namespace, new.labels), Counter())[new.node] += 1

    def selected(self, policies: Sequence[TracingPolicy], namespaces: Mapping[str, Mapping[str, str]]) -> Selection:
        """What the policies select. ``namespaces`` has the labels of each."""
        nodes: dict[str, set[str]] = {policy.metadata.name: set() for policy in policies}
        overlaps: dict[str, set[str]] = {name: set() for name in nodes}
        with self._lock:
            groups = [(*group, frozenset(found)) for group, found in self._groups.items()]
        for namespace, labels, found in groups:
            of_pod, of_namespace = dict(labels), namespaces.get(namespace, {})
            names = {policy.metadata.name for policy in policies if selects(policy, namespace, of_pod, of_namespace)}
            for name in names:
                nodes[name] |= found
                overlaps[name] |= names - {name}
        return Selection({name: frozenset(one) for name, one in nodes.items()}, {name: frozenset(one) for name, one in overlaps.items()})
