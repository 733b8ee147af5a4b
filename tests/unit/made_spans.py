"""Spans for the tests of what comes after the pipeline: every part in one call."""

from collections.abc import Mapping

from clew_agent.model import AttributeValue, Described, Span, SpanKind


def make_span(
    trace_id: bytes,
    span_id: bytes,
    parent_id: bytes | None,
    name: str,
    kind: SpanKind,
    start_ns: int,
    end_ns: int,
    trace_flags: int,
    attributes: Mapping[str, AttributeValue],
    resource: Mapping[str, AttributeValue],
    error: str | None = None,
) -> Span:
    """A span, and what it says."""
    return Span(trace_id, span_id, parent_id, start_ns, end_ns, Described(name, kind, attributes, resource, error, trace_flags))
