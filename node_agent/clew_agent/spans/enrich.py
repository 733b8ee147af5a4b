"""Settled records to finished spans: whose they are, who is at the other end, what they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from clew_agent.functions.layout import FunctionLayout
from clew_agent.model import Described, Span, SpanKind
from clew_agent.records import FunctionRecord, Record, Request, RequestRecord, Role
from clew_agent.spans.arguments import function_attributes
from clew_agent.spans.facts import REMEMBERED, Facts, Peer
from clew_agent.spans.http import describe_request
from clew_agent.spans.naming import request_name

_KINDS = {Role.SERVER: SpanKind.SERVER, Role.CLIENT: SpanKind.CLIENT}
_NO_ID = bytes(8)
_ADDRESSES = 4  # bytes of a span ID that tell of addresses (clew_crds.identifiers)
# As Span(…), without the function in Python that a named tuple's class calls.
_SPAN: Callable[[tuple[object, ...]], Span] = partial(tuple.__new__, Span)


@dataclass(frozen=True, slots=True)
class Enriched:
    """Spans, and what was amiss on the way to them."""

    spans: tuple[Span, ...]
    unknown_pods: int = 0
    unknown_functions: int = 0
    missing_arguments: int = 0


def enrich(records: Iterable[Record], facts: Facts) -> Enriched:
    """Make the spans. A span of an unknown pod or function is kept under a name that says so: a trace with a hole misleads more."""
    spans: list[Span] = []
    unknown_pods = unknown_functions = missing = 0
    for record in records:
        if isinstance(record, RequestRecord):
            unknown_pods += record.request.pod not in facts.own
            spans.append(request_span(record, facts))
            continue
        unknown_pods += record.pod not in facts.own
        layout = facts.functions.get(record.function)
        unknown_functions += layout is None
        span, absent = function_span(record, layout, facts)
        missing += absent
        spans.append(span)
    return Enriched(tuple(spans), unknown_pods, unknown_functions, missing)


def request_span(record: RequestRecord, facts: Facts) -> Span:
    """The span of a server or client request."""
    start_ns, end_ns, trace_id, span_id, parent_id, request = record
    described = facts.described.get(request)
    if described is None:
        described = _describe(request, parent_id, facts)
    offset = facts.clock_offset_ns
    return _SPAN((trace_id, span_id, parent_id if parent_id != _NO_ID else None, start_ns + offset, end_ns + offset, described))


def _describe(request: Request, parent_id: bytes, facts: Facts) -> Described:
    """What is said of a request, remembered for the next like it: where the caller's address tells nothing, like it in the caller, too."""
    kind = _KINDS[Role(request.role)]
    peer = facts.peer(request.remote_address, request.remote_port, kind)
    if peer is not None or kind is SpanKind.CLIENT:
        return _remember(request, _describe_with(request, kind, peer, facts), facts)
    key = (request, parent_id[:_ADDRESSES])
    known = facts.described.get(key)
    return known if known is not None else _remember(key, _describe_with(request, kind, facts.caller(parent_id), facts), facts)


def _remember(key: Request | tuple[Request, bytes], described: Described, facts: Facts) -> Described:
    if len(facts.described) >= REMEMBERED:
        facts.described.clear()
    facts.described[key] = described
    return described


def _describe_with(request: Request, kind: SpanKind, peer: Peer | None, facts: Facts) -> Described:
    own = facts.own.get(request.pod, facts.stranger)
    choice = own.choice
    said = describe_request(request, kind, peer, facts.options, query_string=choice.query_string)
    shown = peer.shown(kind, choice.pod_names) if peer is not None else None
    name = request_name(choice.naming, kind, own.display, shown, said.method)
    resource = facts.resource(request.pod, request.cgroup)
    return Described(name, kind, said.attributes, resource, said.error, request.trace_flags)


def function_span(record: FunctionRecord, layout: FunctionLayout | None, facts: Facts) -> tuple[Span, int]:
    """The span of a kernel function's call, and how many of its arguments are missing.

    It is an internal span of a sampled trace: the kernel records functions in no other.
    """
    attributes, missing = function_attributes(record, layout) if layout is not None else ({}, 0)
    attributes["process.pid"] = record.pid
    attributes["thread.id"] = record.tid
    span = Span(
        trace_id=record.trace_id,
        span_id=record.span_id,
        parent_id=record.parent_id if record.parent_id != _NO_ID else record.request_id,
        start_ns=record.start_ns + facts.clock_offset_ns,
        end_ns=record.end_ns + facts.clock_offset_ns,
        described=Described(
            name=layout.name if layout is not None else f"function {record.function}",
            kind=SpanKind.INTERNAL,
            attributes=attributes,
            resource=facts.resource(record.pod, record.cgroup),
        ),
    )
    return span, missing
