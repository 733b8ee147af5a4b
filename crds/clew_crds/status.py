"""``TracingPolicy.status``: how far a policy has been rolled out. The operator alone writes it; its size does not grow with the nodes.

What the operator must remember from one look to the next stands in ``rollout``, so that another replica can go on at any moment.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from clew_crds.base import Bool, Whole
from clew_crds.observed import Condition, Count, Generation, Message, ObjectName, Observed, Reason, Time
from clew_crds.policy import PolicyName
from clew_crds.rules import Keyed

FAILURES_MAX = 5
"""Failures that a status names; ``nodes.failed`` counts all."""

OVERLAPS_MAX = 8
"""Overlapping policies that a status names."""


class NodeCounts(Observed):
    """Nodes by how far they are with the policy's revision."""

    desired: Count = 0
    """Nodes that shall have the policy."""
    updated: Count = 0
    """Nodes that were told the newest revision."""
    ready: Count = 0
    """Nodes that enforce the newest revision, and say so."""
    failed: Count = 0
    """Nodes that were told the newest revision, and could not enforce it."""
    unsupported: Count = 0
    """Nodes whose kernel or agent cannot do what the policy asks. They hold nothing up."""
    silent: Count = 0
    """Nodes that were told the newest revision, and have not said anything of it."""


class Failure(Observed):
    """What went wrong on one node."""

    node: ObjectName
    """The node's name."""
    reason: Reason
    """Why, as one word for programs."""
    message: Message = ""
    """Why, for people."""


class RolloutStatus(Observed):
    """Where the rollout stands."""

    step: Annotated[int, Whole(0, 16)] = 0
    """The step that is under way, counted from 1; 0 before the first."""
    steps: Annotated[int, Whole(0, 16)] = 0
    """How many steps there are."""
    step_started_time: Time | None = None
    """When this step began."""
    last_progress_time: Time | None = None
    """Start of progressDeadline: a node was last told, answered Ready or Unsupported, or waiting began. Absent if nothing is awaited."""
    soak_started_time: Time | None = None
    """Since when all nodes of this step have been healthy."""
    failed_revision: ObjectName | None = None
    """A revision that failed or was aborted. It is not tried again until the policy is edited, or by `kubectl clew retry`."""
    aborted: Bool = False
    """Whether failedRevision was aborted by hand."""
    promoted_step: Annotated[int, Whole(0, 16)] = 0
    """The last step whose soak was cut short by `kubectl clew promote`."""
    handled_request: Annotated[str, Field(max_length=64)] = ""
    """The last request of the revision (promote, abort, retry) that was carried out."""


class Overlap(Observed):
    """Another policy that selects some of the same pods."""

    policy: PolicyName
    """Its name."""
    rules: Bool = False
    """Whether its settings are the ones that these pods get (its name comes first); kernel functions of both are recorded."""


class PolicyStatus(Observed):
    """How far the policy has been rolled out."""

    observed_generation: Generation = 0
    """The generation of spec that this status is about."""
    revision: ObjectName | None = None
    """The newest revision: the hash of spec without rollout."""
    stable_revision: ObjectName | None = None
    """The last revision that reached all nodes; what a rollback goes to."""
    nodes: NodeCounts = NodeCounts()
    """Nodes by how far they are."""
    step: Annotated[str, Field(max_length=16)] = ""
    """The step that is under way, as "2/3"."""
    message: Message = ""
    """What goes on, in one sentence."""
    rollout: RolloutStatus = RolloutStatus()
    """Where the rollout stands."""
    failures: Annotated[tuple[Failure, ...], Field(max_length=FAILURES_MAX)] = ()
    """The first few nodes that failed, newest first."""
    overlaps: Annotated[tuple[Overlap, ...], Field(max_length=OVERLAPS_MAX), Keyed("policy")] = ()
    """Other policies that select some of the same pods."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8), Keyed("type")] = ()
    """Ready, Reconciling and Stalled, by the rules of kstatus."""
