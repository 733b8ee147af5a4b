"""The agent's exporter against Jaeger: directly, through a Collector that asks who is there, and where that goes wrong."""

from __future__ import annotations

import json
import logging
import os
import queue
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from logging.handlers import QueueHandler
from pathlib import Path

import pytest
from clew_agent.export.base import Exporter
from clew_agent.export.choose import make_exporter
from clew_agent.export.otlp_json import SCOPE, span_flags
from clew_agent.model import AttributeValue, Span, SpanKind
from clew_lab.backends import beside
from clew_lab.backends.query import JaegerQuery, StoredSpan
from clew_lab.backends.running import Jaeger, start_collector, start_jaeger
from clew_lab.backends.settings import Guard, Way
from clew_lab.cluster import Cluster
from clew_lab.traces import CLIENT, INTERNAL, SERVER

from tests.api.certificates import Authority, Pair, authority
from tests.unit.made_spans import make_span

BEGIN = 1_700_000_000_000_000_001
SPAN_KINDS = {SpanKind.INTERNAL: INTERNAL, SpanKind.SERVER: SERVER, SpanKind.CLIENT: CLIENT}
Attributes = dict[str, AttributeValue]
PRODUCTPAGE: Attributes = {"service.name": "productpage", "k8s.pod.name": "productpage-1", "k8s.node.name": "worker-1"}
DETAILS: Attributes = {"service.name": "details", "k8s.pod.name": "details-1", "k8s.node.name": "worker-2"}
TOKEN = "open-sesame"
PROTOCOLS = pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
PATIENCE = 30


def trace(number: int) -> list[Span]:
    """A request through two services, the second of which fails, and what the kernel did meanwhile."""
    trace_id, root, client, server, function = number.to_bytes(16), *(bytes([number, n] * 4) for n in range(1, 5))
    page: Attributes = {"http.request.method": "GET", "url.path": "/productpage", "http.response.status_code": 200}
    call: Attributes = {"http.request.method": "GET", "url.full": "http://details:9080/details/0", "server.port": 9080}
    failed: Attributes = {"http.request.method": "GET", "url.path": "/details/0", "error.type": "500"}
    sent: Attributes = {"clew.function.return": -11, "some": True, "none": False, "share": 0.25, "several": ("x", "y")}
    return [
        make_span(trace_id, root, None, "server:productpage->NONE", SpanKind.SERVER, BEGIN, BEGIN + 9000, 1, page, PRODUCTPAGE),
        make_span(trace_id, client, root, "client:productpage->details", SpanKind.CLIENT, BEGIN + 1, BEGIN + 8000, 1, call, PRODUCTPAGE),
        make_span(trace_id, server, client, "server:details->NONE", SpanKind.SERVER, BEGIN + 2, BEGIN + 7000, 3, failed, DETAILS, "closed"),
        make_span(trace_id, function, server, "tcp_sendmsg", SpanKind.INTERNAL, BEGIN + 3, BEGIN + 4, 3, sent, DETAILS),
    ]


def stored(span: Span) -> StoredSpan:
    """The span as Jaeger shall have it."""
    said = span.described
    return StoredSpan(
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_id.hex() if span.parent_id is not None else "",
        name=said.name,
        kind=SPAN_KINDS[said.kind],
        service=str(said.resource["service.name"]),
        start=span.start_ns,
        end=span.end_ns,
        flags=span_flags(said, span.parent_id is not None),
        attributes=dict(said.attributes),  # type: ignore[arg-type]  # the agent's sequences are tuples here
        resource=dict(said.resource),  # type: ignore[arg-type]
        scope=SCOPE,
        error=said.error,
    )


@pytest.fixture(scope="module")
def jaeger() -> Iterator[Jaeger]:
    with start_jaeger() as running:
        yield running


@dataclass(frozen=True)
class Certificates:
    """The collector's and the agents' authority with what it signed, and one that neither knows."""

    authority: Authority
    server: Pair
    client: Pair
    stranger: Authority


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    ours = authority(folder, "authority")
    return Certificates(ours, ours.signed("collector", "subjectAltName=IP:127.0.0.1"), ours.signed("agent"), authority(folder, "stranger"))


@pytest.fixture(scope="module")
def collector(jaeger: Jaeger, certificates: Certificates) -> Iterator[Way]:
    """It lets in who shows a certificate and knows the token, and sends on to Jaeger."""
    server = certificates.server
    with start_collector(jaeger.way, Guard(server.certificate, server.key, certificates.authority.certificate, TOKEN)) as way:
        yield way


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@contextmanager
def exporting(monkeypatch: pytest.MonkeyPatch, protocol: str, way: Way, settings: Mapping[str, str]) -> Iterator[Exporter]:
    """The agent's exporter as the chart's environment sets it up."""
    endpoint = way.grpc if protocol == "grpc" else way.http
    for name, value in {"PROTOCOL": protocol, "ENDPOINT": endpoint, "TIMEOUT": "5", **settings}.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    exporter = make_exporter("otlp", os.environ)
    try:
        yield exporter
    finally:
        exporter.shutdown(PATIENCE)


def let_in(certificates: Certificates) -> dict[str, str]:
    """What the collector asks for, as the chart sets it."""
    return {
        "CERTIFICATE": str(certificates.authority.certificate),
        "CLIENT_CERTIFICATE": str(certificates.client.certificate),
        "CLIENT_KEY": str(certificates.client.key),
        "HEADERS": f"authorization=Bearer%20{TOKEN},x-tenant=blue",
    }


def assert_arrived(query: JaegerQuery, exporter: Exporter, spans: list[Span]) -> None:
    """All have been exported, and Jaeger has them as they were, however it is asked."""
    counts = exporter.counts()
    assert counts["export_spans_exported"] == len(spans)
    assert {name: count for name, count in counts.items() if count} == {"export_spans_exported": len(spans)}
    expected, trace_id = [stored(span) for span in spans], spans[0].trace_id.hex()
    assert query.trace(trace_id) == expected
    assert query.traces("productpage")[trace_id] == expected
    assert query.traces("details")[trace_id] == expected
    assert query.services() == ["details", "productpage"]


@PROTOCOLS
def test_jaeger_has_what_the_agent_exports(monkeypatch: pytest.MonkeyPatch, jaeger: Jaeger, protocol: str) -> None:
    spans = trace(1 if protocol == "grpc" else 2)
    with exporting(monkeypatch, protocol, jaeger.way, {}) as exporter:
        exporter.export(spans)
    assert_arrived(jaeger.query, exporter, spans)


@PROTOCOLS
def test_a_collector_that_asks_who_is_there_lets_the_agent_in(
    monkeypatch: pytest.MonkeyPatch, jaeger: Jaeger, collector: Way, certificates: Certificates, protocol: str
) -> None:
    spans = trace(3 if protocol == "grpc" else 4)
    with exporting(monkeypatch, protocol, collector, let_in(certificates)) as exporter:
        exporter.export(spans)
    assert_arrived(jaeger.query, exporter, spans)


@pytest.fixture
def told() -> Iterator[queue.SimpleQueue[logging.LogRecord]]:
    """What export logs."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = QueueHandler(records)
    logging.getLogger("clew.export").addHandler(handler)
    yield records
    logging.getLogger("clew.export").removeHandler(handler)


@PROTOCOLS
@pytest.mark.parametrize("trouble", ["distrusts the collector", "shows no certificate"])
def test_without_trust_spans_wait_and_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
    jaeger: Jaeger,
    collector: Way,
    certificates: Certificates,
    told: queue.SimpleQueue[logging.LogRecord],
    protocol: str,
    trouble: str,
) -> None:
    spans, settings = trace(5), {**let_in(certificates), "TIMEOUT": "2"}
    if trouble == "distrusts the collector":
        settings["CERTIFICATE"] = str(certificates.stranger.certificate)
    else:
        del settings["CLIENT_CERTIFICATE"], settings["CLIENT_KEY"]
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    with exporting(monkeypatch, protocol, collector, settings) as exporter:
        exporter.export(spans)
        said = told.get(timeout=PATIENCE).getMessage()
        exporter.export(spans * 5)  # which would never return if it waited for the collector
        exporter.shutdown(0.1)
    assert re.fullmatch(f"export fails and will be tried again, with room for 10 spans: {REASONS[protocol, trouble]}", said)
    counts = exporter.counts()
    assert counts["export_queue_length"] == 0
    assert {name: count for name, count in counts.items() if name.startswith("export_spans_") and count} == {
        "export_spans_dropped_queue_full": 14,
        "export_spans_dropped_at_shutdown": 10,
    }
    assert jaeger.query.trace(spans[0].trace_id.hex()) == []


# Who shows no certificate has been greeted when the collector hangs up; how that is seen over HTTP depends on the moment.
REASONS = {
    ("http/protobuf", "distrusts the collector"): "SSLError: .*CERTIFICATE_VERIFY_FAILED.*",
    ("grpc", "distrusts the collector"): "gRPC UNAVAILABLE: .*CERTIFICATE_VERIFY_FAILED.*",
    ("http/protobuf", "shows no certificate"): "(SSLError|ConnectionError): .*",
    ("grpc", "shows no certificate"): "gRPC UNAVAILABLE: .*",
}


@PROTOCOLS
@pytest.mark.parametrize("headers", ["", "authorization=Bearer%20another"])
def test_without_the_token_spans_are_refused_and_counted(
    monkeypatch: pytest.MonkeyPatch,
    jaeger: Jaeger,
    collector: Way,
    certificates: Certificates,
    told: queue.SimpleQueue[logging.LogRecord],
    protocol: str,
    headers: str,
) -> None:
    spans = trace(6)
    with exporting(monkeypatch, protocol, collector, {**let_in(certificates), "HEADERS": headers}) as exporter:
        exporter.export(spans)
    reason = "HTTP 401 Unauthorized" if protocol == "http/protobuf" else "gRPC UNAUTHENTICATED"
    assert told.get(timeout=PATIENCE).getMessage().startswith(f"4 of 4 spans were refused: {reason}")
    assert {name: count for name, count in exporter.counts().items() if count} == {"export_spans_dropped_refused": 4}
    assert jaeger.query.trace(spans[0].trace_id.hex()) == []


def test_jaeger_beside_a_cluster_has_a_name_there(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    jaeger = beside.start_jaeger(cluster)
    found = json.loads(cluster.kubectl("--namespace=observability", "get", "services,endpointslices", "--output=json").stdout)
    service, endpoints = found["items"]
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == {"otlp-grpc": 4317, "otlp-http": 4318}
    assert service["spec"]["clusterIP"].startswith("10.96.")
    assert [one["addresses"] for one in endpoints["endpoints"]] == [["10.0.2.2"]]
    assert {port["name"]: port["port"] for port in endpoints["ports"]} == {
        "otlp-grpc": jaeger.way.grpc_port,
        "otlp-http": jaeger.way.http_port,
    }
    assert Path(f"/proc/{cluster.pids['jaeger']}/exe").resolve().name == "jaeger"
    with exporting(monkeypatch, "http/protobuf", jaeger.way, {}) as exporter:
        exporter.export(trace(7))
    assert_arrived(jaeger.query, exporter, trace(7))
