"""One table of counters: complete, documented, and as Prometheus reads it."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
from clew_agent.c_header import HeaderError, read_header
from clew_agent.metrics import AGENT_METRICS, Metric, Metrics, kernel_metrics, read_counters_header, serve_metrics

COUNTERS = (
    "enum counter {\n\tCOUNTER_RING_FULL = 0, /* records lost */\n\tCOUNTER_BUSY = 3, /* was busy */\n\tCOUNTERS = 4, /* how many */\n};"
)


def test_kernel_counters_come_from_their_header() -> None:
    assert kernel_metrics(read_header(COUNTERS)) == {0: Metric("kernel_ring_full", "records lost"), 3: Metric("kernel_busy", "was busy")}
    with pytest.raises(HeaderError, match=r"counters\.h: COUNTER_BUSY needs a comment beside it"):
        kernel_metrics(read_header(COUNTERS.replace("/* was busy */", "")))


def test_the_programs_own_header_is_read_whole() -> None:
    header = read_counters_header()
    assert set(kernel_metrics(header)) == set(range(header.enums["counter"]["COUNTERS"]))


def test_the_documentation_lists_every_metric() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = [*AGENT_METRICS, *kernel_metrics(read_counters_header()).values()]
    assert [row.exposed for row in rows if f"| `{row.exposed}` | {row.help} |" not in text] == []


def test_counts_add_up_and_unknown_names_are_refused() -> None:
    metrics = Metrics([Metric("a", "A."), Metric("b", "B.", gauge=True)])
    metrics.add({"a": 2})
    metrics.add({"a": 3})
    metrics.put({"b": 7})
    assert {row.name: value for row, value in metrics.read().items()} == {"a": 5, "b": 7}
    with pytest.raises(KeyError):
        metrics.add({"c": 1})
    with pytest.raises(KeyError):
        metrics.put({"c": 1})


def test_prometheus_reads_them() -> None:
    metrics = Metrics([Metric("spans", "Spans made."), Metric("export_queue_length", "Waiting.", gauge=True)])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    asked: list[None] = []

    def look() -> Mapping[Metric, int]:
        asked.append(None)
        return metrics.read()

    ready: list[None] = []
    stop = serve_metrics(f"127.0.0.1:{port}", look, lambda: bool(ready))
    try:
        metrics.add({"spans": 12})
        metrics.put({"export_queue_length": 3})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            lines = response.read().decode().splitlines()
        read = len(asked)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5)
        assert (refused.value.code, refused.value.read()) == (503, b"policies are not in force yet\n")
        refused.value.close()
        ready.append(None)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            assert response.read() == b"ready\n"
    finally:
        stop()
    assert len(asked) == read == 1  # the kubelet's probes cost no look at all that is counted
    assert lines == [
        "# HELP clew_spans_total Spans made.",
        "# TYPE clew_spans_total counter",
        "clew_spans_total 12.0",
        "# HELP clew_export_queue_length Waiting.",
        "# TYPE clew_export_queue_length gauge",
        "clew_export_queue_length 3.0",
    ]
    with pytest.raises(ValueError, match="'9464' is not of the form HOST:PORT"):
        serve_metrics("9464", metrics.read, lambda: True)
