"""What the stages must know of the world, gathered once per change of it rather than once per span.

The agent makes new facts when pods, policies or the clock's offset change, and passes them in with every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from clew_crds.identifiers import low_bytes, unpack_span_id

from clew_agent.functions.layout import FunctionLayout
from clew_agent.model import Address, AttributeValue, Described, Inventory, Pod, Run, SpanKind
from clew_agent.records import Request
from clew_agent.spans.addresses import packed
from clew_agent.spans.naming import NamingStyle
from clew_agent.spans.resource import pod_resource, service_name, service_namespace, workload_name

REMEMBERED = 4096
"""Of so many requests and cgroups it is remembered what was said of them."""

# RFC 9110 (9.3), PATCH of RFC 5789, and QUERY, as the semantic conventions list them.
KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})


@dataclass(frozen=True, slots=True)
class SpanOptions:
    """What holds for all spans of a node. ``well_known_labels`` lets ``app.kubernetes.io/*`` labels name services."""

    well_known_labels: bool = False
    known_methods: frozenset[str] = KNOWN_METHODS


def known_methods(environment: Mapping[str, str]) -> frozenset[str]:
    """The known methods, which ``OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`` replaces as the conventions require."""
    text = environment.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "")
    return frozenset(name.strip() for name in text.split(",") if name.strip()) or KNOWN_METHODS


@dataclass(frozen=True, slots=True)
class SpanChoice:
    """What a policy chooses for the spans of its pods.

    ``pod_names`` shows pods rather than workloads in Flow names, the peers among them; ``query_string`` keeps the query (redacted);
    ``pod_labels`` are the keys of labels that become attributes.
    """

    naming: NamingStyle = NamingStyle.FLOW
    pod_names: bool = False
    query_string: bool = False
    pod_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traced:
    """A pod that policies select, and what they choose for its spans."""

    pod: Pod
    choice: SpanChoice = SpanChoice()


@dataclass(frozen=True, slots=True)
class OwnPod:
    """A traced pod as its spans show it. ``in_run`` has the resource of each run of a container, ``resource`` that of all the rest."""

    display: str
    resource: Mapping[str, AttributeValue]
    choice: SpanChoice
    cgroup: str = ""
    in_run: Mapping[str, Mapping[str, AttributeValue]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, where the inventory knows it: a pod, the service of an address, or both under one address.

    ``service`` is empty where the address is no service's; of a mere service's address it stands for workload and pod, too.
    """

    workload: str
    pod: str
    service: str
    attributes: Mapping[str, AttributeValue]

    def shown(self, kind: SpanKind, pod_names: bool) -> str:
        """The peer in a name: of a server's span it is the caller, shown as the pod that it is; a callee as the service that was called."""
        if kind is SpanKind.CLIENT and self.service:
            return self.service
        return self.pod if pod_names else self.workload


FindRun = Callable[[str, int], str]
"""From a pod's cgroup, and the low half of the ID of one below it, to the ID of the container whose cgroup that is; "" for none."""


def nothing_found(_pod: str, _cgroup: int) -> str:
    """Of no cgroup is it known whose it is."""
    return ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Made by ``make_facts``. ``clock_offset_ns`` is added to CLOCK_MONOTONIC to get Unix nanoseconds.

    ``described`` remembers what was said of a request, for the next like it (enrich.py), ``resources`` what was found for a cgroup.
    """

    own: Mapping[int, OwnPod]
    stranger: OwnPod
    peers: Mapping[bytes, Peer]
    forwarded: Mapping[int, Peer]
    """Services by the ports at which nodes forward to them."""
    nodes: frozenset[bytes]
    callers: Mapping[bytes, Peer]
    """Pods by what a span ID says of its source."""
    doors: frozenset[bytes]
    """What a span ID says of its destination when a node was asked."""
    functions: Mapping[int, FunctionLayout]
    clock_offset_ns: int
    options: SpanOptions = field(default_factory=SpanOptions)
    find_run: FindRun = field(default=nothing_found, compare=False, repr=False)
    described: dict[Request | tuple[Request, bytes], Described] = field(default_factory=dict, compare=False, repr=False)
    resources: dict[tuple[int, int], Mapping[str, AttributeValue]] = field(default_factory=dict, compare=False, repr=False)

    def peer(self, address: bytes, port: int, kind: SpanKind) -> Peer | None:
        """Who is at the other end. A node's address stands for a service only where it was asked at one of its ports: whoever asks
        through a node, or lives on it, comes from there as well."""
        found = self.peers.get(address)
        if found is None and kind is SpanKind.CLIENT and address in self.nodes:
            return self.forwarded.get(port)
        return found

    def caller(self, asked_under: bytes) -> Peer | None:
        """Who asked through a node, which put an address of its own in the caller's place: by the identifier of the span that asked.

        It must name both a pod and a node, or it is taken for one that another tracer made.
        """
        identifier = unpack_span_id(asked_under)
        return self.callers.get(identifier.source) if identifier.destination in self.doors else None

    def resource(self, slot: int, cgroup: int) -> Mapping[str, AttributeValue]:
        """The resource of what the pod's thread in this cgroup does: the same object for the same container."""
        known = self.resources.get((slot, cgroup))
        if known is None:
            own = self.own.get(slot, self.stranger)
            known = own.in_run.get(self.find_run(own.cgroup, cgroup), own.resource) if own.in_run else own.resource
            if len(self.resources) >= REMEMBERED:
                self.resources.clear()
            self.resources[slot, cgroup] = known
        return known


def make_facts(
    inventory: Inventory,
    traced: Mapping[int, Traced],
    functions: Mapping[int, FunctionLayout],
    clock_offset_ns: int,
    host: Mapping[str, AttributeValue] | None = None,
    options: SpanOptions | None = None,
    find_run: FindRun = nothing_found,
) -> Facts:
    """Gather the facts.

    ``traced`` maps a record's pod slot to its pod, ``functions`` a record's function number to its layout; ``host`` are resource
    attributes of the node, which every span carries. ``find_run`` is asked once for each cgroup that records name.
    """
    chosen = options or SpanOptions()
    facts_of_host = dict(host or {})
    own = {slot: _own(one, facts_of_host, chosen) for slot, one in traced.items()}
    stranger = OwnPod("unknown", {**facts_of_host, "service.name": "unknown_service"}, SpanChoice())
    forwarded = {port: _service_peer(name) for port, name in inventory.node_ports.items()}
    nodes = frozenset(packed(address) for address in inventory.nodes)
    doors = frozenset(low_bytes(address) for address in inventory.nodes)
    callers = {key: _pod_peer(pod, chosen) for key, pod in _alone(inventory.pods, low_bytes).items()}
    peers = _peers(inventory, chosen)
    return Facts(own, stranger, peers, forwarded, nodes, callers, doors, functions, clock_offset_ns, chosen, find_run)


def _own(traced: Traced, host: Mapping[str, AttributeValue], options: SpanOptions) -> OwnPod:
    pod, choice = traced.pod, traced.choice
    display = pod.name if choice.pod_names else workload_name(pod)

    def resource(run: Run | None) -> Mapping[str, AttributeValue]:
        return pod_resource(pod, host, choice.pod_labels, options.well_known_labels, run)

    return OwnPod(display, resource(None), choice, pod.cgroup, {found: resource(run) for found, run in pod.runs.items()})


def _peers(inventory: Inventory, options: SpanOptions) -> Mapping[bytes, Peer]:
    """Every known address."""
    peers = {key: _pod_peer(pod, options) for key, pod in _alone(inventory.pods, packed).items()}
    for address, name in inventory.services.items():
        known = peers.get(packed(address))
        peers[packed(address)] = replace(known, service=name) if known is not None else _service_peer(name)
    return peers


def _alone(pods: Iterable[Pod], key_of: Callable[[Address], bytes]) -> Mapping[bytes, Pod]:
    """Pods by a key of their addresses. One that several pods share, as those on the host's network do, tells nothing of a pod."""
    found: dict[bytes, Pod | None] = {}
    for pod in pods:
        for key in {key_of(address) for address in pod.addresses}:
            found[key] = None if key in found else pod
    return {key: pod for key, pod in found.items() if pod is not None}


def _service_peer(name: str) -> Peer:
    return Peer(name, name, name, {"service.peer.name": name})


def _pod_peer(pod: Pod, options: SpanOptions) -> Peer:
    attributes: dict[str, AttributeValue] = {
        "service.peer.name": service_name(pod, options.well_known_labels),
        "service.peer.namespace": service_namespace(pod),
        "clew.peer.pod.name": pod.name,
    }
    return Peer(workload_name(pod), pod.name, "", attributes)
