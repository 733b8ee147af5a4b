"""The agent's own vocabulary: pods, the inventory that knows them, and spans on their way out.

Every stage of the pipeline (``decode -> parent -> enrich -> name -> export``) speaks in these values. They are immutable and
know nothing of BPF, Kubernetes or OTLP, so that each stage stays a pure function.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, Protocol

AttributeValue = str | int | float | bool | Sequence[str]
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Workload:
    """What owns a pod: its kind (``Deployment``, ``StatefulSet``, …) and name, and its uid where that is known."""

    kind: str
    name: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a container, from one start to its end: the container's name, and how often it had been started before (None: not
    known)."""

    container: str
    restarts: int | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of this node or, as a peer, of another.

    ``cgroup`` is the path of the pod's cgroup below the cgroup v2 mount, beginning with a slash; it is empty for a pod of
    another node. ``containers`` are names, those of init and ephemeral containers among them; ``runs`` are known by the ID that the
    runtime gave them, by which their cgroups are called. ``maker`` made the pod, and is the workload itself, or what that made to make
    it: a Deployment's ReplicaSet, a CronJob's Job.
    """

    name: str
    namespace: str
    uid: str
    node: str
    cgroup: str = ""
    addresses: tuple[Address, ...] = ()
    workload: Workload | None = None
    maker: Workload | None = None
    containers: tuple[str, ...] = ()
    runs: Mapping[str, Run] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The pods that are known at one moment, and the names of services: by their addresses, and by the ports at which the nodes, whose
    addresses are ``nodes``, forward to them (NodePort)."""

    pods: tuple[Pod, ...] = ()
    services: Mapping[Address, str] = field(default_factory=dict)
    node_ports: Mapping[int, str] = field(default_factory=dict)
    nodes: frozenset[Address] = frozenset()

    def at(self, address: Address) -> Pod | None:
        """The pod with this address, if exactly one has it (pods on the host's network share theirs)."""
        found = [pod for pod in self.pods if address in pod.addresses]
        return found[0] if len(found) == 1 else None


class InventorySource(Protocol):
    """Where pods come from: a file in standalone mode, the Kubernetes API in a cluster."""

    def current(self) -> Inventory:
        """The latest inventory: the same object until something changes, the namespaces' labels included. Never blocks."""
        ...

    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of the namespaces that are known. Never blocks."""
        ...


class SpanKind(enum.Enum):
    """The kinds of OpenTelemetry that Clew makes; a kernel function is internal."""

    SERVER = "server"
    CLIENT = "client"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Described:
    """What a span says besides when and who: many spans may share it. ``error`` is the status description, ``None`` when unset;
    ``trace_flags`` are the W3C's.

    ``encoded`` is for exporters, which keep there what they have made of it, under names of their own: so that is made once.
    """

    name: str
    kind: SpanKind
    attributes: Mapping[str, AttributeValue]
    resource: Mapping[str, AttributeValue]
    error: str | None = None
    trace_flags: int = 1
    encoded: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)


class Span(NamedTuple):
    """A finished span, ready to be exported. Times are Unix nanoseconds; identifiers are raw bytes."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    start_ns: int
    end_ns: int
    described: Described
