"""Spans as OTLP/JSON, the encoding that the OpenTelemetry file exporter writes one request a line.

The rules that differ from Protobuf's usual JSON: identifiers are hexadecimal, 64-bit integers are strings, enums are numbers
(OTLP specification, "JSON Protobuf Encoding").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clew_agent import __version__
from clew_agent.model import AttributeValue, Described, Span, SpanKind

SCOPE = "clew"
_KINDS = {SpanKind.INTERNAL: 1, SpanKind.SERVER: 2, SpanKind.CLIENT: 3}
_STATUS_ERROR = 2
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200


def trace_request(spans: Sequence[Span]) -> dict[str, Any]:
    """An ``ExportTraceServiceRequest`` of these spans, grouped by resource in the order of first appearance."""
    return {"resourceSpans": [_resource_spans(group) for group in by_resource(spans)]}


def by_resource(spans: Sequence[Span]) -> Iterable[Sequence[Span]]:
    """The spans that share a resource, together, in the order of first appearance."""
    groups: dict[int, list[Span]] = {}
    for span in spans:
        groups.setdefault(id(span.described.resource), []).append(span)
    return groups.values()


def _resource_spans(group: Sequence[Span]) -> dict[str, Any]:
    scope = {"scope": {"name": SCOPE, "version": __version__}, "spans": [_span(span) for span in group]}
    return {"resource": {"attributes": _attributes(group[0].described.resource)}, "scopeSpans": [scope]}


def span_flags(described: Described, has_parent: bool) -> int:
    """A span's ``flags``: those of the W3C in the low byte, and whether its parent is of another process."""
    remote = has_parent and described.kind is SpanKind.SERVER
    return described.trace_flags | _HAS_IS_REMOTE | (_IS_REMOTE if remote else 0)


def _span(span: Span) -> dict[str, Any]:
    described = span.described
    encoded: dict[str, Any] = {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "parentSpanId": span.parent_id.hex() if span.parent_id is not None else "",
        "flags": span_flags(described, span.parent_id is not None),
        "name": described.name,
        "kind": _KINDS[described.kind],
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(described.attributes),
        "status": {},
    }
    if described.error is not None:
        encoded["status"] = {"code": _STATUS_ERROR, "message": described.error} if described.error else {"code": _STATUS_ERROR}
    return encoded


def _attributes(values: Mapping[str, AttributeValue]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: AttributeValue) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [_value(item) for item in value]}}
