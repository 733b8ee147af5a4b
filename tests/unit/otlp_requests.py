"""OTLP requests as Protobuf's own library makes them of the JSON form, to compare ours with."""

import base64
from collections.abc import Sequence

from clew_agent.export.otlp_json import trace_request
from clew_agent.model import Span
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def by_json(spans: Sequence[Span]) -> ExportTraceServiceRequest:
    """The request with these spans. OTLP writes identifiers in another way into JSON than Protobuf does."""
    document = trace_request(spans)
    for group in document["resourceSpans"]:
        for span in group["scopeSpans"][0]["spans"]:
            for key in ("traceId", "spanId", "parentSpanId"):
                span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    request = ExportTraceServiceRequest()
    ParseDict(document, request)
    return request
