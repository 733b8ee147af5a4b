"""OTLP by the official exporters, with their verdict made known.

The exporters answer a failure with ``FAILURE`` alone; whether another try makes sense (OTLP specification, "Failures") only the
last answer tells. A watch on the HTTP session, or an interceptor on the gRPC channel, notes it; should a later exporter bypass
the watch, an unexplained failure is a refusal and is counted. gRPC and requests are imported only when they are chosen: gRPC
costs some 15 MB of resident memory.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from clew_agent.export.base import Result, Sent, Sink
from clew_agent.export.settings import otlp_compression, otlp_protocol
from clew_agent.export.verdict import Watch
from clew_agent.model import Span


class OtlpSink:
    """An official exporter behind a watch on its answers."""

    def __init__(self, exporter: SpanExporter, watch: Watch) -> None:
        """``watch`` is the one that the exporter's session or channel fills in."""
        self._exporter = exporter
        self._watch = watch

    def send(self, spans: Sequence[Span]) -> Sent:
        """Export one batch; blocks for the exporter's timeout at most, its own retries included."""
        self._watch.clear()
        if self._exporter.export(spans) is SpanExportResult.SUCCESS:  # type: ignore[arg-type]  # encoded by otlp_protobuf
            return Sent(Result.SENT, self._watch.reason, rejected=min(self._watch.rejected, len(spans)))
        result = Result.RETRY if self._watch.retryable else Result.REFUSED
        return Sent(result, self._watch.reason or "the exporter did not send it", self._watch.retry_after_s)

    def close(self) -> None:
        """End the exporter; a pause between two of its tries ends at once."""
        self._exporter.shutdown()


def make_otlp_sink(environment: Mapping[str, str]) -> Sink:
    """The exporter that the environment chooses; ``environment`` must be that of the process, which the exporters read themselves.

    Raises ``SettingsError``. The exporters' own log lines are silenced: the queue tells of failures once, and counts them.
    """
    protocol, compression = otlp_protocol(environment), otlp_compression(environment)
    logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.CRITICAL)
    watch = Watch()
    if protocol == "grpc":
        from clew_agent.export.otlp_grpc import make_grpc_exporter

        return OtlpSink(make_grpc_exporter(watch, compression), watch)
    from clew_agent.export.otlp_http import make_http_exporter

    return OtlpSink(make_http_exporter(watch), watch)
