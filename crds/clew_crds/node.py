"""``NodeTracing``: what one node shall enforce, and what its agent says of it. Named as its node, and owned by it.

The operator writes ``spec``, the node's agent ``status``, each by server-side apply. Nobody else writes either.
"""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from pydantic import Field

from clew_crds.observed import Count, Generation, Message, ObjectMeta, ObjectName, Observed, Reason, Uid
from clew_crds.policy import PolicyName
from clew_crds.rules import Keyed

NODE_KIND = "NodeTracing"
POLICIES_MAX = 64


class Assignment(Observed):
    """A policy that the node shall enforce, and as of which revision."""

    name: PolicyName
    """The policy's name."""
    uid: Uid = ""
    """The policy's uid."""
    revision: ObjectName
    """The TracingRevision to enforce."""


class NodeSpec(Observed):
    """What the node shall enforce. A policy that is not here is not enforced."""

    policies: Annotated[tuple[Assignment, ...], Field(max_length=POLICIES_MAX), Keyed("name")] = ()
    """The policies, by name."""


class State(enum.StrEnum):
    """How far the node is with a policy or a kernel function."""

    PENDING = "Pending"
    """Taken note of; the programs are being built."""
    READY = "Ready"
    """Enforced."""
    FAILED = "Failed"
    """Cannot be enforced, though this node's kernel could: the message says why."""
    UNSUPPORTED = "Unsupported"
    """This kernel or this agent cannot do it."""


class FunctionReport(Observed):
    """A kernel function of a policy that is not recorded as asked."""

    function: Annotated[str, Field(max_length=127)]
    """The function's name."""
    state: State
    """Failed or Unsupported."""
    reason: Reason
    """Why, as one word for programs."""
    message: Message = ""
    """Why, for people, with near names where it is not found."""


class PolicyReport(Observed):
    """What the agent says of one policy."""

    name: PolicyName
    """The policy's name."""
    revision: ObjectName
    """The revision that this is about."""
    state: State
    """How far the node is with it. Ready also where some functions are Unsupported, which are then listed."""
    reason: Reason
    """Why, as one word for programs."""
    message: Message = ""
    """Why, for people."""
    pods: Count = 0
    """Pods of this node that the policy selects."""
    functions: Annotated[tuple[FunctionReport, ...], Field(max_length=64), Keyed("function")] = ()
    """Kernel functions that are not recorded as asked."""


class Kernel(Observed):
    """What the agent found of the node's kernel."""

    release: Annotated[str, Field(max_length=128)] = ""
    """As `uname -r` prints it."""
    propagation: Annotated[str, Field(max_length=16)] = ""
    """On, or Off."""
    message: Message = ""
    """Why propagation is off."""


class Overhead(Observed):
    """What the agent costs on this node."""

    cpu_millicores: Count = 0
    """Thousandths of a CPU, over the last minute."""
    memory_mib: Annotated[Count, Field(alias="memoryMiB")] = 0
    """Mebibytes that are resident."""


class Loss(Observed):
    """Something that was lost, and how often: a counter that is not zero."""

    name: Annotated[str, Field(max_length=63)]
    """The counter's name, as Prometheus knows it without prefix and suffix."""
    count: Count
    """How often, since the agent began."""


class NodeStatus(Observed):
    """What the node's agent says."""

    observed_generation: Generation = 0
    """The generation of spec that this status is about."""
    agent_version: Annotated[str, Field(max_length=64)] = ""
    """The agent's version."""
    kernel: Kernel = Kernel()
    """What the agent found of the node's kernel."""
    policies: Annotated[tuple[PolicyReport, ...], Field(max_length=POLICIES_MAX), Keyed("name")] = ()
    """Each policy of spec."""
    overhead: Overhead = Overhead()
    """What the agent costs."""
    losses: Annotated[tuple[Loss, ...], Field(max_length=32), Keyed("name")] = ()
    """What was lost."""


class NodeTracing(Observed):
    """What one node shall enforce, and what its agent says of it. The operator makes it; do not edit it."""

    api_version: Literal["clew.dev/v1alpha1"]
    """Always clew.dev/v1alpha1."""
    kind: Literal["NodeTracing"]
    """Always NodeTracing."""
    metadata: ObjectMeta
    """The name is the node's."""
    spec: NodeSpec = NodeSpec()
    """What the node shall enforce; the operator writes it."""
    status: NodeStatus = NodeStatus()
    """What the node's agent says; it alone writes it."""
