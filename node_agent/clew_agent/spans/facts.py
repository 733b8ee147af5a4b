"""What the stages must know of the world, gathered once per change of it rather than once per span.

The agent makes new facts when pods, policies or the clock's offset change, and passes them in with every batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clew_agent.functions.layout import FunctionLayout
from clew_agent.model import AttributeValue, Described, Inventory, Pod
from clew_agent.records import Request
from clew_agent.spans.addresses import packed
from clew_agent.spans.naming import NamingStyle
from clew_agent.spans.resource import pod_resource, service_name, service_namespace, workload_name

# RFC 9110 (9.3), PATCH of RFC 5789, and QUERY, as the semantic conventions list them.
KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})


@dataclass(frozen=True, slots=True)
class SpanOptions:
    """What a user chooses about all spans.

    ``query_string`` keeps the query (redacted); ``pod_names`` shows pods rather than workloads in Flow names;
    ``well_known_labels`` lets ``app.kubernetes.io/*`` labels name services.
    """

    query_string: bool = False
    pod_names: bool = False
    well_known_labels: bool = False
    known_methods: frozenset[str] = KNOWN_METHODS


def known_methods(environment: Mapping[str, str]) -> frozenset[str]:
    """The known methods, which ``OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`` replaces as the conventions require."""
    text = environment.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "")
    return frozenset(name.strip() for name in text.split(",") if name.strip()) or KNOWN_METHODS


@dataclass(frozen=True, slots=True)
class OwnPod:
    """A traced pod as its spans show it."""

    display: str
    resource: Mapping[str, AttributeValue]
    style: NamingStyle


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, where the inventory knows it: a pod, the service of a cluster IP, or both under one address.

    A caller is shown as the pod that it is, a callee as the service that was called.
    """

    as_caller: str
    as_callee: str
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class Facts:
    """Made by ``make_facts``. ``clock_offset_ns`` is added to CLOCK_MONOTONIC to get Unix nanoseconds.

    ``described`` remembers what was said of a request, for the next like it (enrich.py).
    """

    own: Mapping[int, OwnPod]
    stranger: OwnPod
    peers: Mapping[bytes, Peer]
    functions: Mapping[int, FunctionLayout]
    clock_offset_ns: int
    options: SpanOptions = field(default_factory=SpanOptions)
    described: dict[Request, Described] = field(default_factory=dict, compare=False, repr=False)


def make_facts(
    inventory: Inventory,
    pods: Mapping[int, Pod],
    functions: Mapping[int, FunctionLayout],
    clock_offset_ns: int,
    naming: Mapping[int, NamingStyle] | None = None,
    host: Mapping[str, AttributeValue] | None = None,
    options: SpanOptions | None = None,
) -> Facts:
    """Gather the facts.

    ``pods`` maps a record's pod slot to its pod, ``functions`` a record's function number to its layout, ``naming`` a slot to
    its policy's style (Flow without one); ``host`` are resource attributes of the node, which every span carries.
    """
    chosen = options or SpanOptions()
    facts_of_host = dict(host or {})
    styles = naming or {}
    own = {
        slot: OwnPod(_display(pod, chosen), pod_resource(pod, facts_of_host, chosen.well_known_labels), styles.get(slot, NamingStyle.FLOW))
        for slot, pod in pods.items()
    }
    stranger = OwnPod("unknown", {**facts_of_host, "service.name": "unknown_service"}, NamingStyle.FLOW)
    return Facts(own, stranger, _peers(inventory, chosen), functions, clock_offset_ns, chosen)


def _display(pod: Pod, options: SpanOptions) -> str:
    return pod.name if options.pod_names else workload_name(pod)


def _peers(inventory: Inventory, options: SpanOptions) -> Mapping[bytes, Peer]:
    """Every known address. One that several pods share (the host's network) tells nothing of a pod."""
    pods: dict[bytes, Pod | None] = {}
    for pod in inventory.pods:
        for key in {packed(address) for address in pod.addresses}:
            pods[key] = None if key in pods else pod
    peers = {key: _pod_peer(pod, options) for key, pod in pods.items() if pod is not None}
    for address, name in inventory.services.items():
        known = peers.get(packed(address))
        peers[packed(address)] = replace(known, as_callee=name) if known is not None else Peer(name, name, {"service.peer.name": name})
    return peers


def _pod_peer(pod: Pod, options: SpanOptions) -> Peer:
    display = _display(pod, options)
    attributes: dict[str, AttributeValue] = {
        "service.peer.name": service_name(pod, options.well_known_labels),
        "service.peer.namespace": service_namespace(pod),
        "clew.peer.pod.name": pod.name,
    }
    return Peer(display, display, attributes)
