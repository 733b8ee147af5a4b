"""One policy at one look: the facts, and what is remembered from the look before."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from clew_crds.revision import RolloutRequest
from clew_crds.rollout import Rollout
from clew_crds.status import Failure, NodeCounts, RolloutStatus
from clew_crds.values import parse_amount

from clew_operator.planning.answers import NodeView
from clew_operator.planning.world import NodeFacts


class Phase(enum.StrEnum):
    """What the policy is at."""

    STEADY = "Steady"
    """The newest revision is the stable one: every node is to have it."""
    ROLLING = "Rolling"
    """The newest revision goes out step by step."""
    FAILED = "Failed"
    """It failed, or was aborted."""


@dataclass(frozen=True, slots=True)
class Case:
    """The facts. ``newest`` is the revision that the spec asks for, ``revisions`` those of this policy that exist."""

    name: str
    rollout: Rollout
    newest: str
    revisions: frozenset[str]
    request: RolloutRequest | None
    nodes: tuple[NodeView, ...]
    facts: Mapping[str, NodeFacts]
    with_pods: frozenset[str]
    now: datetime

    @property
    def max_unavailable(self) -> int:
        """Nodes that may be changing at one time."""
        return parse_amount(self.rollout.max_unavailable).of(len(self.nodes))


@dataclass(frozen=True, slots=True)
class Memory:
    """What the policy's status remembers. ``failed`` counts the failures, of which ``failures`` names the first few."""

    state: RolloutStatus
    stable: str | None
    counts: NodeCounts
    failures: tuple[Failure, ...] = ()
    failed: int = 0
    message: str = ""

    def phase(self, newest: str) -> Phase:
        """What the policy is at, when ``newest`` is its newest revision."""
        if self.state.failed_revision == newest:
            return Phase.FAILED
        return Phase.STEADY if self.stable == newest else Phase.ROLLING
