"""On which nodes pods run that a policy selects. Pure.

Pods of one workload have the same labels, so they are kept as groups of (namespace, labels) with a count for each node: a policy is
held against a few hundred groups rather than against every pod of the cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from clew_crds.policy import TracingPolicy
from clew_crds.selectors import selects


class Pod(NamedTuple):
    """All that is kept of a pod that runs."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    node: str


class PodGroups:
    """How many pods of each namespace and set of labels run on each node."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, tuple[tuple[str, str], ...]], Counter[str]] = {}

    def observe(self, old: Pod | None, new: Pod | None) -> None:
        """Take in that ``old`` became ``new``; None stands for no pod."""
        if old is not None:
            group = self._groups[old.namespace, old.labels]
            group[old.node] -= 1
            if not group[old.node]:
                del group[old.node]
            if not group:
                del self._groups[old.namespace, old.labels]
        if new is not None:
            self._groups.setdefault((new.namespace, new.labels), Counter())[new.node] += 1

    def placements(self, policies: Iterable[TracingPolicy], namespaces: Mapping[str, Mapping[str, str]]) -> dict[str, frozenset[str]]:
        """By policy, the nodes with a pod that it selects. ``namespaces`` has the labels of each."""
        groups = [(namespace, dict(labels), nodes.keys()) for (namespace, labels), nodes in list(self._groups.items())]
        return {
            policy.metadata.name: frozenset().union(
                *(nodes for namespace, labels, nodes in groups if selects(policy, namespace, labels, namespaces.get(namespace, {})))
            )
            for policy in policies
        }
