"""Every counter of the agent: one table, which the Prometheus endpoint, NodeTracing's status and ``docs/metrics.md`` share.

The kernel programs' counters are declared in ``bpf/counters.h`` alone, name and help text both; they become metrics here. What
the agent counts itself is a row of ``AGENT_METRICS``. A count without a row is a programming error and is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clew_agent.bpf_files import bpf_source
from clew_agent.c_header import Header, HeaderError, read_header

PREFIX = "clew_"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. ``name`` is without the prefix and without ``_total``; a gauge may go down."""

    name: str
    help: str
    gauge: bool = False

    @property
    def exposed(self) -> str:
        """The name by which Prometheus knows it."""
        return f"{PREFIX}{self.name}" if self.gauge else f"{PREFIX}{self.name}_total"

    @property
    def is_loss(self) -> bool:
        """Whether it counts something that spans lack, which a person should hear of."""
        return any(part in self.name for part in ("dropped", "full", "calls_cut", "missed", "undecoded"))


AGENT_METRICS: tuple[Metric, ...] = (
    Metric("records", "Records read from the ring buffer and decoded."),
    Metric("records_undecoded", "Records of the ring buffer that could not be decoded, and were dropped."),
    Metric("spans", "Spans made from records."),
    Metric("requests_not_held", "Requests passed on without waiting for their last kernel functions, because too many were waiting."),
    Metric("spans_of_unknown_pods", "Spans whose pod was gone when they were made; they carry no k8s attributes."),
    Metric("spans_of_unknown_functions", "Spans of a kernel function that the running programs do not list."),
    Metric("arguments_missing", "Arguments of kernel functions that were asked for and are not in their record."),
    Metric("program_runs_missed", "Runs of a program that the kernel left out, since it was running on that CPU already."),
    Metric("function_calls_cut", "Calls of kernel functions that were open when their programs were taken off, as policies changed."),
    Metric("export_spans_exported", "Spans that their destination accepted."),
    Metric("export_spans_dropped_queue_full", "Spans dropped because the export queue was full: the collector is away or too slow."),
    Metric("export_spans_dropped_refused", "Spans that their destination refused for good."),
    Metric("export_spans_dropped_at_shutdown", "Spans that could not be sent in the time that shutting down has."),
    Metric("export_retries", "Batches tried again after a failure that may pass."),
    Metric("export_queue_length", "Spans that wait for export, those being sent included.", gauge=True),
)


def read_counters_header() -> Header:
    """``bpf/counters.h``. Raises ``HeaderError`` and ``FileNotFoundError``."""
    path = bpf_source("counters.h")
    return read_header(path.read_text(encoding="utf-8"), path.name)


def kernel_metrics(header: Header) -> Mapping[int, Metric]:
    """The kernel programs' counters by their index in the counters' map, named ``kernel_<name>``.

    ``COUNTERS``, the number of them, is none. Raises ``HeaderError`` for one without a comment, since that is its help text.
    """
    metrics: dict[int, Metric] = {}
    for constant, index in header.enums.get("counter", {}).items():
        if not constant.startswith("COUNTER_"):
            continue
        if not header.help.get(constant):
            raise HeaderError(f"counters.h: {constant} needs a comment beside it, which is its help text")
        metrics[index] = Metric(f"kernel_{constant.removeprefix('COUNTER_').lower()}", header.help[constant])
    return metrics


class Metrics:
    """The agent's own totals, for any thread to add to and to read."""

    def __init__(self, rows: Iterable[Metric] = AGENT_METRICS) -> None:
        """Every row begins at zero, so that a loss that never happened is a visible zero."""
        self._rows = {row.name: row for row in rows}
        self._values = dict.fromkeys(self._rows, 0)
        self._lock = threading.Lock()

    def add(self, counts: Mapping[str, int]) -> None:
        """Add what a step counted. Raises ``KeyError`` for a name without a row."""
        with self._lock:
            for name, amount in counts.items():
                self._values[name] += amount

    def put(self, totals: Mapping[str, int]) -> None:
        """Set what is counted elsewhere, as the exporter and the kernel count. Raises ``KeyError`` for a name without a row."""
        with self._lock:
            for name, value in totals.items():
                if name not in self._rows:
                    raise KeyError(name)
                self._values[name] = value

    def read(self) -> dict[Metric, int]:
        """All rows with their values."""
        with self._lock:
            return {row: self._values[name] for name, row in self._rows.items()}


READY = "/readyz"
"""Where the kubelet asks whether the agent does what it is told. It takes no look at the metrics, which cost a hundred system calls."""


def serve_metrics(address: str, read: Callable[[], Mapping[Metric, int]], is_ready: Callable[[], bool]) -> Callable[[], None]:
    """Serve the Prometheus text format on ``HOST:PORT`` (``[::1]:9464`` for IPv6), and :data:`READY`; return what stops it.

    ``read`` is called for every scrape, ``is_ready`` for every probe, from other threads. Raises ``ValueError`` for an address of another
    form and ``OSError`` when it is taken.
    """
    from prometheus_client import make_wsgi_app, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector, CollectorRegistry

    class Table(Collector):
        """Turns the rows into families at each scrape."""

        def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
            """One family a row."""
            for row, value in read().items():
                family = GaugeMetricFamily if row.gauge else CounterMetricFamily
                yield family(row.exposed, row.help, value=value)

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is not of the form HOST:PORT")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Table())
    server, thread = start_http_server(int(port), host.strip("[]"), registry)
    metrics = make_wsgi_app(registry)

    def page(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] != READY:
            return metrics(environ, start_response)
        status, said = ("200 OK", b"ready\n") if is_ready() else ("503 Service Unavailable", b"policies are not in force yet\n")
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [said]

    server.set_app(page)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
