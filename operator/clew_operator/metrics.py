"""Every metric of the operator: one table, which the Prometheus endpoint and ``docs/operator.md`` share.

A count without a row is a programming error and is refused. Rows with labels name all values that a label may have, so that what
never happened is a visible zero.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from clew_operator.client import Fault

PREFIX = "clew_operator_"
STATES = ("ready", "progressing", "stalled")
"""States of a rollout, by the policy's conditions."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_WRITES = ("revision", "status", "tracing", "event", "deletion")


class Type(enum.StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. ``name`` is without the prefix and without ``_total``; ``labels`` have all of their values."""

    name: str
    help: str
    type: Type = Type.COUNTER
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def exposed(self) -> str:
        """The name by which Prometheus knows it."""
        return f"{PREFIX}{self.name}_total" if self.type is Type.COUNTER else f"{PREFIX}{self.name}"


METRICS: tuple[Metric, ...] = (
    Metric("leader", "1 while this replica is the leader.", Type.GAUGE),
    Metric("reconciles", "Looks at the whole world, by how they ended.", labels={"result": ("done", "incomplete", "failed")}),
    Metric("reconcile_seconds", "How long a look took, with its writes.", Type.HISTOGRAM),
    Metric("plan_seconds", "How long the decision took in it.", Type.HISTOGRAM),
    Metric(
        "writes",
        "Requests that write, by what they write and what came of it.",
        labels={"kind": _WRITES, "result": ("done", *(one.value for one in Fault))},
    ),
    Metric("writes_held_back", "NodeTracings not written because the memory of the decision, or the revision, could not be."),
    Metric("queue_age_seconds", "How long the oldest change has waited to be looked at.", Type.GAUGE),
    Metric("queue_keys", "Changes that were looked at."),
    Metric("lists", "Complete lists that were read: at the start of a term, when a watch had to begin anew, and from time to time."),
    Metric("watches_restarted", "Times that all watches ended by an error and were begun again."),
    Metric("policies", "Policies, by how their rollout stands.", Type.GAUGE, labels={"state": STATES}),
    Metric("nodes", "Nodes that an agent can run on.", Type.GAUGE),
)


class Metrics:
    """The operator's metrics, for any thread."""

    def __init__(self, queue_age: Callable[[], float]) -> None:
        """``queue_age`` is asked at each scrape."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        for row in METRICS:
            names = tuple(row.labels)
            made: Counter | Gauge | Histogram
            if row.type is Type.HISTOGRAM:
                made = Histogram(row.exposed, row.help, names, registry=self._registry, buckets=_SECONDS)
            else:
                make = Gauge if row.type is Type.GAUGE else Counter
                made = make(row.exposed, row.help, names, registry=self._registry)
            for values in itertools.product(*row.labels.values()) if names else ():
                made.labels(*values)
            self._metrics[row.name] = made
        gauge = self._metrics["queue_age_seconds"]
        if isinstance(gauge, Gauge):
            gauge.set_function(queue_age)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter. Raises ``KeyError`` for a name without a row."""
        metric = self._metrics[name]
        if not isinstance(metric, Counter):
            raise KeyError(name)
        (metric.labels(**labels) if labels else metric).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge. Raises ``KeyError`` for a name without a row."""
        metric = self._metrics[name]
        if not isinstance(metric, Gauge):
            raise KeyError(name)
        (metric.labels(**labels) if labels else metric).set(value)

    def observe(self, name: str, seconds: float) -> None:
        """Add to a histogram. Raises ``KeyError`` for a name without a row."""
        metric = self._metrics[name]
        if not isinstance(metric, Histogram):
            raise KeyError(name)
        metric.observe(seconds)

    def exposition(self) -> tuple[str, bytes]:
        """Content type and text of all metrics, as Prometheus takes them."""
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)
