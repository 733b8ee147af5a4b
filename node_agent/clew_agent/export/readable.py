"""Spans as the OpenTelemetry SDK's ``ReadableSpan``, which its exporters take.

They are made finished: the SDK's tracer would make its own identifiers and clock readings, where Clew's come from the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace import SpanKind as OtelKind
from opentelemetry.trace.status import Status, StatusCode

from clew_agent import __version__
from clew_agent.export.otlp_json import SCOPE
from clew_agent.model import AttributeValue, Span, SpanKind

_KINDS = {SpanKind.INTERNAL: OtelKind.INTERNAL, SpanKind.SERVER: OtelKind.SERVER, SpanKind.CLIENT: OtelKind.CLIENT}
_SCOPE = InstrumentationScope(SCOPE, __version__)
_UNSET = Status(StatusCode.UNSET)


class PodResource(Resource):
    """A resource that equals itself alone. The exporter groups spans by it, and the SDK's own hash writes JSON for every span."""

    def __eq__(self, other: object) -> bool:
        """Identity."""
        return self is other

    def __hash__(self) -> int:
        """Of the identity."""
        return id(self)


def readable_spans(spans: Sequence[Span]) -> list[ReadableSpan]:
    """The same spans for the SDK, with one resource for all that share theirs."""
    resources: dict[int, Resource] = {}
    return [_readable(span, resources) for span in spans]


def _readable(span: Span, resources: dict[int, Resource]) -> ReadableSpan:
    resource = resources.get(id(span.resource))
    if resource is None:
        resource = resources[id(span.resource)] = PodResource(dict[str, AttributeValue](span.resource))
    trace_id = int.from_bytes(span.trace_id, "big")
    parent: SpanContext | None = None
    if span.parent_id is not None:
        parent = SpanContext(trace_id, int.from_bytes(span.parent_id, "big"), span.kind is SpanKind.SERVER)
    return ReadableSpan(
        name=span.name,
        context=SpanContext(trace_id, int.from_bytes(span.span_id, "big"), False, TraceFlags(span.trace_flags)),
        parent=parent,
        resource=resource,
        attributes=span.attributes,
        kind=_KINDS[span.kind],
        status=Status(StatusCode.ERROR, span.error or None) if span.error is not None else _UNSET,
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )
