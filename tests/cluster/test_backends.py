"""Jaeger beside real nodes: their pods reach it by its name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clew_lab.backends.running import Jaeger
from clew_lab.cluster import Cluster
from clew_lab.nodes.machine import LabNode

from tests.cluster import web


@pytest.fixture(scope="module", autouse=True)
def pods(cluster: Cluster, nodes: dict[str, LabNode]) -> None:
    web.start(cluster, [*nodes])


def request(node: str, trace: str) -> str:
    """OTLP/JSON with one span of a service that is called as the node."""
    span = {"traceId": trace, "spanId": "00f067aa0ba902b7", "name": "sent", "kind": 2, "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    resource: dict[str, Any] = {"attributes": [{"key": "service.name", "value": {"stringValue": node}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]})


def test_pods_of_every_node_send_to_jaeger(cluster: Cluster, nodes: dict[str, LabNode], jaeger: Jaeger) -> None:
    for number, node in enumerate(nodes, 1):
        trace = f"{number:032x}"
        send = ["wget", "-qO-", "-T", "60", "--header=Content-Type: application/json", f"--post-data={request(node, trace)}"]
        cluster.kubectl("exec", web.pod_on(node), "--", *send, "http://jaeger.observability:4318/v1/traces")
        assert [(span.service, span.name, span.kind) for span in jaeger.query.trace(trace)] == [(node, "sent", "server")]
