"""Policies from files: what stands in standalone mode where NodeTracing stands in a cluster.

Files are read again when they change, so a policy may be edited while the agent runs. A bad edit keeps the last good policies and is
told once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from clew_crds import PolicyError, TracingPolicy, load_policies

from clew_agent.inventory.static import fingerprint

_LOG = logging.getLogger("clew.policies")


class PolicyFiles:
    """A ``PolicySource`` over YAML files. Raises ``PolicyError`` when one is bad at the start."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read them all."""
        self._paths = tuple(paths)
        self._seen = [fingerprint(path) for path in self._paths]
        self._known = read_policies(self._paths)

    def policies(self) -> tuple[TracingPolicy, ...]:
        """The latest good policies. Costs a ``stat`` a file while they stay as they are; never raises."""
        seen = [fingerprint(path) for path in self._paths]
        if seen != self._seen:
            self._seen = seen
            try:
                self._known = read_policies(self._paths)
            except PolicyError as error:
                _LOG.error("%s\nthe %d policies known before stay", error, len(self._known))
        return self._known


def read_policies(paths: Sequence[Path]) -> tuple[TracingPolicy, ...]:
    """The policies of all files. Raises ``PolicyError``, also for a name that stands in two files."""
    found: dict[str, tuple[Path, TracingPolicy]] = {}
    for path in paths:
        for policy in load_policies(path):
            first, _ = found.setdefault(policy.metadata.name, (path, policy))
            if first != path:
                raise PolicyError([f'{path}: metadata.name: "{policy.metadata.name}" is not allowed: {first} has a policy of that name'])
    return tuple(policy for _, policy in found.values())
