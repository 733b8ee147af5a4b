"""Jaeger and the Collector in the lab: what they are told, what a cluster is told of Jaeger, and how its answers are read."""

import json
from pathlib import Path

import pytest
from clew_lab.backends import build
from clew_lab.backends.query import StoredSpan, spans_in
from clew_lab.backends.running import has_begun
from clew_lab.backends.settings import Guard, Way, collector_config, jaeger_config, jaeger_objects
from clew_lab.store import NotBuilt

WAY = Way(4001, 4002)


def test_jaeger_stores_in_memory_what_comes_by_either_transport() -> None:
    config = json.loads(jaeger_config(WAY, 4003))
    assert config["receivers"] == {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:4001"}, "http": {"endpoint": "127.0.0.1:4002"}}}}
    assert config["exporters"] == {"jaeger_storage_exporter": {"trace_storage": "memory"}}
    assert config["extensions"] == {
        "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 100_000}}}},
        "jaeger_query": {"storage": {"traces": "memory"}, "http": {"endpoint": "127.0.0.1:4003"}, "grpc": {"endpoint": "127.0.0.1:0"}},
    }
    assert config["service"] == {
        "extensions": ["jaeger_storage", "jaeger_query"],
        "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
        "telemetry": {"metrics": {"level": "none"}},
    }


def test_the_collector_sends_on_before_it_answers() -> None:
    config = json.loads(collector_config(WAY, "127.0.0.1:5001"))
    exporter = {"endpoint": "127.0.0.1:5001", "tls": {"insecure": True}, "sending_queue": {"enabled": False}}
    assert config["exporters"] == {"otlp_grpc": exporter}
    assert config["extensions"] == {}
    assert config["service"] == {"extensions": [], "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}}}


def test_a_guarded_collector_asks_by_both_transports_for_a_certificate_and_a_token() -> None:
    guard = Guard(Path("/tls/server.crt"), Path("/tls/server.key"), Path("/tls/ca.crt"), "secret")
    config = json.loads(collector_config(WAY, "127.0.0.1:5001", guard))
    tls = {"cert_file": "/tls/server.crt", "key_file": "/tls/server.key", "client_ca_file": "/tls/ca.crt"}
    asked = {"tls": tls, "auth": {"authenticator": "bearertokenauth"}}
    assert config["receivers"]["otlp"]["protocols"] == {
        "grpc": {"endpoint": "127.0.0.1:4001", **asked},
        "http": {"endpoint": "127.0.0.1:4002", **asked},
    }
    assert config["extensions"] == {"bearertokenauth": {"token": "secret"}}
    assert config["service"]["extensions"] == ["bearertokenauth"]


def test_endpoints() -> None:
    assert (WAY.grpc, WAY.http) == ("http://127.0.0.1:4001", "http://127.0.0.1:4002")
    assert Way(1, 2, "https").http == "https://127.0.0.1:2"


def test_pods_find_jaeger_on_the_host_by_the_usual_ports() -> None:
    namespace, service, endpoints = json.loads(jaeger_objects(WAY))["items"]
    assert (namespace["kind"], namespace["metadata"]) == ("Namespace", {"name": "observability"})
    assert service["spec"] == {
        "ports": [{"name": "otlp-grpc", "port": 4317, "protocol": "TCP"}, {"name": "otlp-http", "port": 4318, "protocol": "TCP"}]
    }
    name = {"name": "jaeger", "namespace": "observability"}
    assert (service["metadata"], endpoints["metadata"]) == (name, {**name, "labels": {"kubernetes.io/service-name": "jaeger"}})
    assert [one["addresses"] for one in endpoints["endpoints"]] == [["10.0.2.2"]]
    assert endpoints["ports"] == [
        {"name": "otlp-grpc", "port": 4001, "protocol": "TCP"},
        {"name": "otlp-http", "port": 4002, "protocol": "TCP"},
    ]


def test_an_answer_is_read_as_it_was_sent() -> None:
    root = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "00f067aa0ba902b7",
        "name": "server:productpage->NONE",
        "kind": 2,
        "flags": 0x101,
        "startTimeUnixNano": "1700000000000000001",
        "endTimeUnixNano": "1700000000000000009",
        "attributes": [
            {"key": "s", "value": {"stringValue": "x"}},
            {"key": "b", "value": {"boolValue": False}},
            {"key": "i", "value": {"intValue": "-11"}},
            {"key": "d", "value": {"doubleValue": 1.5}},
            {"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {"intValue": "2"}]}}},
            {"key": "none", "value": {"arrayValue": {}}},
        ],
        "status": {"code": 2, "message": "closed"},
    }
    inner = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "00f067aa0ba902b8",
        "parentSpanId": "00f067aa0ba902b7",
        "name": "tcp_sendmsg",
        "kind": 1,
        "startTimeUnixNano": "2",
        "endTimeUnixNano": "3",
        "status": {},
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "productpage"}}]}
    groups = [
        {"resource": resource, "scopeSpans": [{"scope": {"name": "clew"}, "spans": [root]}]},
        {"resource": {}, "scopeSpans": [{"spans": [inner]}]},
    ]
    assert spans_in(json.dumps({"result": {"resourceSpans": groups}}).encode()) == [
        StoredSpan(
            trace="0af7651916cd43dd8448eb211c80319c",
            span="00f067aa0ba902b7",
            parent="",
            name="server:productpage->NONE",
            kind="server",
            service="productpage",
            start=1_700_000_000_000_000_001,
            end=1_700_000_000_000_000_009,
            flags=0x101,
            attributes={"s": "x", "b": False, "i": -11, "d": 1.5, "l": ("x", 2), "none": ()},
            resource={"service.name": "productpage"},
            scope="clew",
            error="closed",
        ),
        StoredSpan(
            trace="0af7651916cd43dd8448eb211c80319c",
            span="00f067aa0ba902b8",
            parent="00f067aa0ba902b7",
            name="tcp_sendmsg",
            kind="internal",
            service="",
            start=2,
            end=3,
            flags=0,
            attributes={},
            resource={},
            scope="",
            error=None,
        ),
    ]


def test_an_answer_of_nothing_holds_no_spans() -> None:
    assert spans_in(b"{}") == []


def test_a_program_has_begun_when_it_says_so(tmp_path: Path) -> None:
    log = tmp_path / "jaeger.log"
    log.write_text("info\tExtension started.\n")
    assert not has_begun(log)
    log.write_text("info\tEverything is ready. Begin running and processing data.\n")
    assert has_begun(log)


def test_without_programs_the_message_says_what_to_do(cache: Path) -> None:
    for name, called in ((build.JAEGER, "Jaeger"), (build.COLLECTOR, "Collector")):
        with pytest.raises(NotBuilt, match=f"^the lab's {called} has not been built: run `clew-lab setup` "):
            build.PROGRAMS[name].find()
