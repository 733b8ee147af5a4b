"""OTLP over both transports against real receivers: what arrives, what the environment changes, and every kind of failure."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import certifi
import pytest
from clew_agent import __version__
from clew_agent.export.base import Result, Sent
from clew_agent.export.otlp import make_otlp_sink
from clew_agent.export.queue import QueuedExporter
from clew_agent.export.settings import QueueLimits, SettingsError
from clew_agent.export.verdict import Watch, parse_retry_after
from clew_agent.model import SpanKind

from tests.unit.made_spans import make_span
from tests.unit.otlp_receivers import Answer, Received, grpc_receiver, http_receiver
from tests.unit.otlp_requests import by_json

TRACE = bytes(range(16))
POD_A = {"service.name": "productpage", "k8s.pod.name": "a"}
POD_B = {"service.name": "details", "k8s.pod.name": "b"}
QUICK = QueueLimits(capacity=50, batch=10, delay_s=0.01, first_retry_s=0.05, last_retry_s=0.1)
SERVER_SPAN = make_span(
    trace_id=TRACE,
    span_id=b"\1" * 8,
    parent_id=b"\2" * 8,
    name="server:productpage->NONE",
    kind=SpanKind.SERVER,
    start_ns=1_700_000_000_000_000_001,
    end_ns=1_700_000_000_000_000_009,
    trace_flags=3,
    attributes={"http.request.method": "GET", "http.response.status_code": 500, "b": True, "f": 1.5, "l": ("x", "y")},
    resource=POD_A,
    error="",
)
FUNCTION_SPAN = make_span(TRACE, b"\3" * 8, b"\1" * 8, "tcp_sendmsg", SpanKind.INTERNAL, 5, 6, 1, {"clew.function.return": -11}, POD_A)
CLIENT_SPAN = make_span(TRACE, b"\4" * 8, None, "client:details->NONE", SpanKind.CLIENT, 7, 8, 1, {}, POD_B, "the connection was closed")
SPANS = (SERVER_SPAN, CLIENT_SPAN, FUNCTION_SPAN)
Receiver = Callable[..., AbstractContextManager[int]]
TRANSPORTS = pytest.mark.parametrize(("protocol", "receiver"), [("http/protobuf", http_receiver), ("grpc", grpc_receiver)])


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def configure(monkeypatch: pytest.MonkeyPatch, protocol: str, port: int, **more: str) -> Mapping[str, str]:
    environment = {"PROTOCOL": protocol, "ENDPOINT": f"http://127.0.0.1:{port}", "TIMEOUT": "1", **more}
    named = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in environment.items() if value}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    return named


def send(monkeypatch: pytest.MonkeyPatch, protocol: str, port: int, **more: str) -> Sent:
    sink = make_otlp_sink(configure(monkeypatch, protocol, port, **more))
    try:
        return sink.send(SPANS)
    finally:
        sink.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@TRANSPORTS
def test_what_arrives(monkeypatch: pytest.MonkeyPatch, protocol: str, receiver: Receiver) -> None:
    received = Received()
    with receiver(received) as port:
        assert send(monkeypatch, protocol, port) == Sent(Result.SENT)
    request = received.requests[0][2]
    pods = [{pair.key: pair.value.string_value for pair in group.resource.attributes} for group in request.resource_spans]
    assert pods == [POD_A, POD_B]
    scopes = [scope for group in request.resource_spans for scope in group.scope_spans]
    assert [(scope.scope.name, scope.scope.version) for scope in scopes] == [("clew", __version__)] * 2
    assert [span.name for span in scopes[0].spans] == ["server:productpage->NONE", "tcp_sendmsg"]
    server = scopes[0].spans[0]
    assert (server.trace_id, server.span_id, server.parent_span_id) == (TRACE, b"\1" * 8, b"\2" * 8)
    assert (server.start_time_unix_nano, server.end_time_unix_nano) == (1_700_000_000_000_000_001, 1_700_000_000_000_000_009)
    assert (server.kind, server.status.code, server.status.message, server.flags & 0x300) == (2, 2, "", 0x300)
    assert (scopes[1].spans[0].parent_span_id, scopes[1].spans[0].status.message) == (b"", "the connection was closed")


def test_the_file_says_the_same_as_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    received = Received()
    with http_receiver(received) as port:
        send(monkeypatch, "http/protobuf", port)
    assert by_json(SPANS) == received.requests[0][2]


@TRANSPORTS
def test_headers_and_compression(monkeypatch: pytest.MonkeyPatch, protocol: str, receiver: Receiver) -> None:
    received = Received()
    with receiver(received) as port:
        for compression in ("gzip", "none"):
            sent = send(monkeypatch, protocol, port, HEADERS="x-tenant=blue,authorization=Bearer%20t", COMPRESSION=compression)
            assert sent.result is Result.SENT
    (_, zipped, _), (_, plain, _) = received.requests
    assert (zipped["x-tenant"], zipped["authorization"]) == ("blue", "Bearer t")
    if protocol == "http/protobuf":
        assert (zipped["content-encoding"], plain.get("content-encoding")) == ("gzip", None)
        assert int(zipped["content-length"]) < int(plain["content-length"])


def test_endpoints_of_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    received = Received()
    with http_receiver(received) as port:
        send(monkeypatch, "http/protobuf", port, ENDPOINT=f"http://127.0.0.1:{port}/base/")
        send(monkeypatch, "http/protobuf", 1, TRACES_ENDPOINT=f"http://127.0.0.1:{port}/exactly/here", TRACES_HEADERS="x-only=traces")
    assert [path for path, _, _ in received.requests] == ["/base/v1/traces", "/exactly/here"]
    assert received.requests[1][1]["x-only"] == "traces"
    received = Received()
    with grpc_receiver(received) as port:
        sent = send(monkeypatch, "grpc", 1, TRACES_ENDPOINT=f"127.0.0.1:{port}", INSECURE="true", TRACES_PROTOCOL="grpc")
        assert sent.result is Result.SENT
    assert len(received.requests) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=collector", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return key, certificate


def test_certificate(monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]) -> None:
    key, authority = certificate
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    received = Received()
    with http_receiver(received, tls=(str(authority), str(key))) as port:
        where = f"https://127.0.0.1:{port}"
        distrusted = send(monkeypatch, "http/protobuf", port, ENDPOINT=where)
        assert distrusted.result is Result.RETRY
        assert "CERTIFICATE_VERIFY_FAILED" in distrusted.reason
        assert send(monkeypatch, "http/protobuf", port, ENDPOINT=where, CERTIFICATE=str(authority)).result is Result.SENT
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_CERTIFICATE")
    with grpc_receiver(received, tls=(key.read_bytes(), authority.read_bytes())) as port:
        where = f"https://127.0.0.1:{port}"
        assert send(monkeypatch, "grpc", port, ENDPOINT=where).result is Result.RETRY
        assert send(monkeypatch, "grpc", port, ENDPOINT=where, CERTIFICATE=str(authority)).result is Result.SENT
    assert len(received.requests) == 2


@pytest.mark.parametrize(
    ("status", "retry_after", "sent"),
    [
        (503, "30", Sent(Result.RETRY, "HTTP 503 Service Unavailable", 30.0)),
        (429, None, Sent(Result.RETRY, "HTTP 429 Too Many Requests")),
        (400, None, Sent(Result.REFUSED, "HTTP 400 Bad Request")),
        (404, "5", Sent(Result.REFUSED, "HTTP 404 Not Found")),
    ],
)
def test_http_verdicts(monkeypatch: pytest.MonkeyPatch, status: int, retry_after: str | None, sent: Sent) -> None:
    with http_receiver(Received([Answer(status, retry_after)] * 9)) as port:
        assert send(monkeypatch, "http/protobuf", port, TIMEOUT="0.3") == sent


@pytest.mark.parametrize(
    ("status", "retry_after", "sent"),
    [
        ("UNAVAILABLE", None, Sent(Result.RETRY, "gRPC UNAVAILABLE: as told")),
        ("UNAVAILABLE", "30", Sent(Result.RETRY, "gRPC UNAVAILABLE: as told", 30.0)),
        ("RESOURCE_EXHAUSTED", "12.5", Sent(Result.RETRY, "gRPC RESOURCE_EXHAUSTED: as told", 12.5)),
        ("RESOURCE_EXHAUSTED", None, Sent(Result.REFUSED, "gRPC RESOURCE_EXHAUSTED: as told")),
        ("INVALID_ARGUMENT", None, Sent(Result.REFUSED, "gRPC INVALID_ARGUMENT: as told")),
        ("UNAUTHENTICATED", None, Sent(Result.REFUSED, "gRPC UNAUTHENTICATED: as told")),
    ],
)
def test_grpc_verdicts(monkeypatch: pytest.MonkeyPatch, status: str, retry_after: str | None, sent: Sent) -> None:
    with grpc_receiver(Received([Answer(status, retry_after)] * 9)) as port:
        assert send(monkeypatch, "grpc", port, TIMEOUT="0.3") == sent


@TRANSPORTS
def test_partial_success_counts_what_was_not_wanted(monkeypatch: pytest.MonkeyPatch, protocol: str, receiver: Receiver) -> None:
    with receiver(Received([Answer(rejected=2)])) as port:
        assert send(monkeypatch, protocol, port) == Sent(Result.SENT, "too old", rejected=2)


class Heard(logging.Handler):
    """Tells when the exporter has said that it cannot reach the collector."""

    def __init__(self) -> None:
        super().__init__()
        self.failure = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "will be tried again" in record.getMessage():
            self.failure.set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    logging.getLogger("clew.export").addHandler(handler)
    yield handler
    logging.getLogger("clew.export").removeHandler(handler)


@contextmanager
def exporting(environment: Mapping[str, str]) -> Iterator[QueuedExporter]:
    exporter = QueuedExporter(make_otlp_sink(environment), QUICK)
    try:
        yield exporter
    finally:
        exporter.shutdown(10)


@TRANSPORTS
def test_a_collector_that_comes_late_gets_everything(
    monkeypatch: pytest.MonkeyPatch, heard: Heard, protocol: str, receiver: Receiver
) -> None:
    port = free_port()
    with exporting(configure(monkeypatch, protocol, port, TIMEOUT="0.2")) as exporter:
        exporter.export(SPANS)
        assert heard.failure.wait(10)
        received = Received()
        with receiver(received, port=port):
            received.wait(1)
            exporter.shutdown(10)
    assert sorted(received.names()) == sorted(span.described.name for span in SPANS)
    assert exporter.counts()["export_spans_exported"] == 3
    assert exporter.counts()["export_retries"] > 0
    assert sum(value for name, value in exporter.counts().items() if "dropped" in name) == 0


@TRANSPORTS
def test_a_slow_collector_never_slows_the_pipeline(monkeypatch: pytest.MonkeyPatch, protocol: str, receiver: Receiver) -> None:
    received = Received(hold=threading.Event())
    assert received.hold is not None
    with receiver(received) as port, exporting(configure(monkeypatch, protocol, port, TIMEOUT="10")) as exporter:
        exporter.export(SPANS)
        received.wait(1)
        begun = time.monotonic()
        exporter.export(SPANS * 30)
        assert time.monotonic() - begun < 3
        assert exporter.counts()["export_spans_dropped_queue_full"] == 93 - 50
        received.hold.set()
        exporter.shutdown(10)
        assert exporter.counts()["export_spans_exported"] == 50
    assert len(received.names()) == 50


@pytest.mark.parametrize("status", [503, "UNAVAILABLE"])
def test_a_busy_collector_is_waited_for(monkeypatch: pytest.MonkeyPatch, status: int | str) -> None:
    protocol, receiver = ("grpc", grpc_receiver) if isinstance(status, str) else ("http/protobuf", http_receiver)
    received = Received([Answer(status, "0"), Answer(status, "0")])
    with receiver(received) as port, exporting(configure(monkeypatch, protocol, port)) as exporter:
        exporter.export(SPANS)
        received.wait(3)
    assert exporter.counts()["export_spans_exported"] == 3
    assert len(received.names()) == 9


def test_a_compression_that_grpc_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = configure(monkeypatch, "grpc", 1, COMPRESSION="deflate")
    with pytest.raises(SettingsError, match="OTLP over gRPC knows no compression 'deflate'; allowed are none and gzip"):
        make_otlp_sink(environment)


def test_a_try_that_is_cut_short_leaves_the_reason_of_the_one_before() -> None:
    watch = Watch()
    watch.grpc("DEADLINE_EXCEEDED", "too late", None)
    assert (watch.retryable, watch.reason) == (True, "gRPC DEADLINE_EXCEEDED: too late")
    watch.grpc("UNAVAILABLE", "no trust", None)
    watch.grpc("DEADLINE_EXCEEDED", "too late", None)
    assert (watch.retryable, watch.reason) == (True, "gRPC UNAVAILABLE: no trust")
    watch.clear()
    watch.unreachable(OSError("no trust"), cut_short=False)
    watch.unreachable(TimeoutError("too late"), cut_short=True)
    assert (watch.retryable, watch.reason) == (True, "OSError: no trust")
    watch.unreachable(OSError("gone"), cut_short=False)
    assert watch.reason == "OSError: gone"


def test_retry_after() -> None:
    assert [parse_retry_after(text) for text in ("3", " 7 ", "soon", "-1", "")] == [3.0, 7.0, None, None, None]
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT") is not None
