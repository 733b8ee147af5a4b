"""What the planner is given and what it answers.

The controller gathers a ``World`` from its watches and carries a ``Plan`` out; between the two there is nothing but values, so every
decision of a rollout can be tested, and replayed, without a cluster.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from clew_crds.node import Assignment, NodeTracing
from clew_crds.policy import TracingPolicy
from clew_crds.revision import TracingRevision
from clew_crds.status import PolicyStatus


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node of the cluster that an agent can run on. ``ready`` is its condition Ready; ``kernel`` as its kubelet reports it."""

    name: str
    uid: str
    ready: bool
    zone: str = ""
    kernel: str = ""


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """A policy as it stands in the API server, and the status that was written last."""

    policy: TracingPolicy
    status: PolicyStatus = field(default_factory=PolicyStatus)


@dataclass(frozen=True, slots=True)
class World:
    """All that a decision depends on. Mappings are by the objects' names.

    ``placements`` says on which nodes pods run that a policy selects, ``overlaps`` which other policies select some of its pods.
    ``unreadable`` are policies that exist and that this version cannot read: what nodes were told of them stays as it is.
    ``now`` has a time zone.
    """

    now: datetime
    policies: Mapping[str, PolicyFacts] = field(default_factory=dict)
    revisions: Mapping[str, TracingRevision] = field(default_factory=dict)
    nodes: Mapping[str, NodeFacts] = field(default_factory=dict)
    tracings: Mapping[str, NodeTracing] = field(default_factory=dict)
    placements: Mapping[str, frozenset[str]] = field(default_factory=dict)
    overlaps: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()


class Severity(enum.StrEnum):
    """The type of a Kubernetes event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Event:
    """A transition that people want to hear of, once."""

    policy: str
    severity: Severity
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the world is to become. What is as wished already is in it all the same: the controller writes differences alone.

    ``assignments`` has every node of the world: an empty tuple where nothing is to be enforced. ``statuses`` has every policy that
    is not being deleted. Revisions are made before nodes are told of them. ``events`` are what happened between the statuses that were
    written last and these, so they are told when these are written. ``wake`` is when to look again, though nothing changes until then.
    """

    create_revisions: tuple[TracingRevision, ...] = ()
    delete_revisions: tuple[str, ...] = ()
    assignments: Mapping[str, tuple[Assignment, ...]] = field(default_factory=dict)
    statuses: Mapping[str, PolicyStatus] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    wake: datetime | None = None
