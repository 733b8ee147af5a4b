"""The queue never makes the pipeline wait, loses nothing without counting, and ends within its bound."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
from clew_agent.export.base import Result, Sent
from clew_agent.export.queue import QueuedExporter
from clew_agent.export.settings import QueueLimits, SettingsError, otlp_compression, otlp_protocol, queue_limits
from clew_agent.metrics import AGENT_METRICS
from clew_agent.model import Span, SpanKind

from tests.unit import made_spans

QUICK = QueueLimits(capacity=10, batch=4, delay_s=0.01, first_retry_s=0.01, last_retry_s=0.02)
SENT = Sent(Result.SENT)
AWAY = Sent(Result.RETRY, "away")


def span(name: str = "s") -> Span:
    return made_spans.make_span(b"t" * 16, b"s" * 8, None, name, SpanKind.SERVER, 1, 2, 1, {}, {})


def spans(count: int) -> list[Span]:
    return [span(str(number)) for number in range(count)]


class ScriptedSink:
    """Gives its answers in turn, the last one for ever; ``gate`` holds it inside ``send``."""

    def __init__(self, *answers: Sent | Exception) -> None:
        self.answers = list(answers)
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.inside = threading.Event()
        self.closed = False

    def send(self, spans: Sequence[Span]) -> Sent:
        self.batches.append([span.described.name for span in spans])
        self.inside.set()
        self.gate.wait(10)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True
        self.gate.set()


@contextmanager
def exporting(sink: ScriptedSink, limits: QueueLimits = QUICK) -> Iterator[QueuedExporter]:
    exporter = QueuedExporter(sink, limits)
    try:
        yield exporter
    finally:
        exporter.shutdown(5)


def counts(**values: int) -> Mapping[str, int]:
    names = ("exported", "dropped_queue_full", "dropped_refused", "dropped_at_shutdown")
    totals = {f"export_spans_{name}": values.get(name, 0) for name in names}
    return {**totals, "export_retries": values.get("retries", 0), "export_queue_length": values.get("queue_length", 0)}


def test_every_count_has_its_row_of_metrics() -> None:
    assert set(counts()) <= {row.name for row in AGENT_METRICS}


def test_batches_in_order() -> None:
    sink = ScriptedSink(SENT)
    with exporting(sink) as exporter:
        exporter.export(spans(10))
    assert sink.batches == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]
    assert exporter.counts() == counts(exported=10)
    assert sink.closed


def test_a_full_queue_drops_and_counts_and_never_waits() -> None:
    sink = ScriptedSink(SENT)
    sink.gate.clear()
    with exporting(sink) as exporter:
        exporter.export(spans(4))
        assert sink.inside.wait(5)
        begun = time.monotonic()
        exporter.export(spans(100))
        assert time.monotonic() - begun < 3
        assert exporter.counts() == counts(dropped_queue_full=94, queue_length=10)
        sink.gate.set()
    assert exporter.counts() == counts(exported=10, dropped_queue_full=94)


def test_what_may_succeed_later_is_tried_again_and_nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    sink = ScriptedSink(AWAY, AWAY, Sent(Result.RETRY, "busy", retry_after_s=0.001), SENT)
    with exporting(sink) as exporter:
        exporter.export(spans(4))
    assert sink.batches == [["0", "1", "2", "3"]] * 4
    assert exporter.counts() == counts(exported=4, retries=3)
    assert [record.getMessage() for record in caplog.records] == [
        "export fails and will be tried again, with room for 10 spans: away",
        "export works again",
    ]


def test_what_is_refused_is_counted_and_the_next_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    sink = ScriptedSink(Sent(Result.REFUSED, "HTTP 400 Bad Request"), RuntimeError("no"), Sent(Result.SENT, "too old", rejected=1), SENT)
    with exporting(sink) as exporter:
        exporter.export(spans(10))
    assert exporter.counts() == counts(exported=1, dropped_refused=4 + 4 + 1)
    assert [record.getMessage() for record in caplog.records] == [
        "4 of 4 spans were refused: HTTP 400 Bad Request",
        "4 of 4 spans were refused: RuntimeError: no",
        "1 of 2 spans were refused: too old",
    ]


def test_the_end_comes_in_time_with_a_collector_that_stays_away() -> None:
    sink = ScriptedSink(AWAY)
    exporter = QueuedExporter(sink, QueueLimits(capacity=10, batch=4, delay_s=0.01, first_retry_s=60))
    exporter.export(spans(10))
    assert sink.inside.wait(5)
    begun = time.monotonic()
    exporter.shutdown(0.2)
    assert time.monotonic() - begun < 5
    assert exporter.counts()["export_spans_dropped_at_shutdown"] == 10
    assert exporter.counts()["export_queue_length"] == 0


def test_the_end_comes_in_time_with_a_collector_that_hangs() -> None:
    sink = ScriptedSink(SENT)
    sink.gate.clear()
    exporter = QueuedExporter(sink, QUICK)
    exporter.export(spans(10))
    assert sink.inside.wait(5)
    begun = time.monotonic()
    exporter.shutdown(0.2)
    assert time.monotonic() - begun < 5
    totals = exporter.counts()
    assert totals["export_spans_exported"] + totals["export_spans_dropped_at_shutdown"] == 10
    exporter.export(spans(3))
    exporter.shutdown(1)
    assert exporter.counts()["export_spans_dropped_at_shutdown"] == totals["export_spans_dropped_at_shutdown"] + 3


def test_settings() -> None:
    assert queue_limits({}) == QueueLimits()
    chosen = {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_SCHEDULE_DELAY": "250", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "50"}
    assert queue_limits(chosen) == QueueLimits(capacity=100, batch=50, delay_s=0.25)
    assert queue_limits({"OTEL_BSP_MAX_QUEUE_SIZE": "100"}).batch == 100
    assert otlp_protocol({}) == "http/protobuf"
    assert otlp_protocol({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) == "grpc"
    assert otlp_protocol({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}) == "http/protobuf"
    assert otlp_compression({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none"}) == "none"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "many"}, "OTEL_BSP_MAX_QUEUE_SIZE='many' is no whole number above 0"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "OTEL_BSP_MAX_QUEUE_SIZE='0' is no whole number above 0"),
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "5", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "6"},
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=6 is more than the queue's 5",
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_PROTOCOL='http/json' is not supported; allowed are grpc and http/protobuf",
        ),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "OTEL_EXPORTER_OTLP_COMPRESSION='zstd' is not supported; allowed are none and gzip"),
    ],
)
def test_bad_settings(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _ = queue_limits(environment), otlp_protocol(environment), otlp_compression(environment)
    assert str(caught.value) == message
