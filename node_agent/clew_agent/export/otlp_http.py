"""The official OTLP/HTTP exporter on a session that notes every answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace.export import SpanExporter

from clew_agent.export.otlp_protobuf import encode
from clew_agent.export.verdict import Watch
from clew_agent.model import Span


class Encoded:
    """A request that is encoded already, where the exporter expects one to encode."""

    def __init__(self, spans: Sequence[Span]) -> None:
        """Encode these."""
        self._content = encode(spans)

    def SerializePartialToString(self) -> bytes:  # noqa: N802  # Protobuf's name
        """What was encoded."""
        return self._content


class WatchedSession(requests.Session):
    """A session of ``requests`` that tells a ``Watch`` how each request ended."""

    def __init__(self, watch: Watch) -> None:
        """Tell ``watch``."""
        super().__init__()
        self._watch = watch

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """As ``requests.Session.request``, but that a certificate set for the session wins over ``REQUESTS_CA_BUNDLE``."""
        if self.verify is not True:
            options.setdefault("verify", self.verify)
        try:
            response = super().request(*arguments, **options)
        except requests.RequestException as error:
            self._watch.unreachable(error, cut_short=isinstance(error, requests.Timeout))
            raise
        self._watch.http(response.status_code, response.reason, response.headers.get("Retry-After"))
        if response.ok and response.content:
            self._note_partial_success(response.content)
        return response

    def _note_partial_success(self, content: bytes) -> None:
        try:
            answer = ExportTraceServiceResponse.FromString(content).partial_success
        except DecodeError:
            return
        if answer.rejected_spans:
            self._watch.partial(answer.rejected_spans, answer.error_message)


def make_http_exporter(watch: Watch) -> SpanExporter:
    """The exporter as ``OTEL_EXPORTER_OTLP_*`` sets it up, with our encoder in the place of its own."""
    trace_exporter.encode_spans = Encoded  # type: ignore[assignment, attr-defined]  # what it imported takes the SDK's spans
    return OTLPSpanExporter(session=WatchedSession(watch))
