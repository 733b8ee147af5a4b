"""The official OTLP/gRPC exporter on a channel that notes every answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc  # type: ignore[import-untyped]  # ships no types
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # ships no types
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace.export import SpanExporter

from clew_agent.export.otlp_protobuf import encode
from clew_agent.export.settings import SettingsError
from clew_agent.export.verdict import Watch

_RETRY_INFO = "google.rpc.retryinfo-bin"


class WatchInterceptor(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Tells a ``Watch`` how each call ended."""

    def __init__(self, watch: Watch) -> None:
        """Tell ``watch``."""
        self._watch = watch

    def intercept_unary_unary(self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any) -> Any:
        """Let the call through and note its status; it has ended when the exporter's blocking call continues here."""
        call = continuation(client_call_details, request)
        code = call.code().name
        self._watch.grpc(code, call.details() or "", _retry_delay(call))
        if code == "OK" and (partial := call.result().partial_success).rejected_spans:
            self._watch.partial(partial.rejected_spans, partial.error_message)
        return call


class EncodedStub:
    """The service's client (opentelemetry-proto, ``trace_service.proto``), for requests that are encoded already."""

    def __init__(self, channel: Any) -> None:
        """Call on ``channel``."""
        self.Export = channel.unary_unary(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            response_deserializer=ExportTraceServiceResponse.FromString,
        )


class WatchedExporter(OTLPSpanExporter):
    """The official exporter; each channel that it opens gets the interceptor."""

    def __init__(self, watch: Watch, compression: grpc.Compression) -> None:
        """As the environment says, but for the compression."""
        self._interceptor = WatchInterceptor(watch)
        super().__init__(compression=compression)

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]  # the base leaves it untyped
        watched = grpc.intercept_channel(self._channel, self._interceptor)
        self._client = EncodedStub(watched)  # type: ignore[assignment]  # its own encodes what it sends

    def _translate_data(self, data: Any) -> bytes:  # type: ignore[override]  # as EncodedStub wants it
        """Our encoder in the place of the exporter's own."""
        return encode(data)


def make_grpc_exporter(watch: Watch, compression: str) -> SpanExporter:
    """The exporter as ``OTEL_EXPORTER_OTLP_*`` sets it up.

    The compression is passed in, since the exporter takes the specification's value ``none`` for an error.
    """
    kinds = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip}
    if compression not in kinds:
        raise SettingsError(f"OTLP over gRPC knows no compression {compression!r}; allowed are none and gzip")
    return WatchedExporter(watch, kinds[compression])


def _retry_delay(call: Any) -> float | None:
    """The collector's wish (``google.rpc.RetryInfo``) in seconds."""
    for key, value in call.trailing_metadata() or ():
        if key == _RETRY_INFO:
            delay = RetryInfo.FromString(value).retry_delay
            return float(delay.seconds) + float(delay.nanos) / 1e9
    return None
