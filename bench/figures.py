"""The arithmetic of the benchmark: percentiles of a run, ratios of paired runs, medians over rounds. Pure.

A round measures every workload once without and once with the agent, close together in time, so whatever drifts (the host's other
load, the guest's caches) touches both alike: ratios are taken within a round, and only then summarised over rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from clew_lab.load import percentile

__all__ = ["Measurement", "Ratio", "Summary", "ratio", "summarise"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one workload: latencies in nanoseconds, length in seconds, CPU seconds of the whole guest, failed requests."""

    latencies_ns: Sequence[int]
    seconds: float
    cpu_seconds: float
    failures: int

    @property
    def throughput(self) -> float:
        """Answers per second."""
        return len(self.latencies_ns) / self.seconds

    @property
    def p50_ms(self) -> float:
        """Median latency in milliseconds."""
        return percentile(self.latencies_ns, 0.50) / 1e6

    @property
    def p99_ms(self) -> float:
        """The latency in milliseconds that 99 % of the requests did not exceed."""
        return percentile(self.latencies_ns, 0.99) / 1e6

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of the whole guest per answer."""
        return 1000 * self.cpu_seconds / len(self.latencies_ns)


@dataclass(frozen=True, slots=True)
class Ratio:
    """With the agent over without it: the median of the rounds' ratios, and their extremes."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One figure of one workload: its median without and with the agent, and the ratio."""

    without: float
    with_agent: float
    ratio: Ratio


def ratio(pairs: Sequence[tuple[float, float]]) -> Ratio:
    """The ratio of ``(without, with)`` pairs, one a round. Raises ``ValueError`` when there is none or something without is 0."""
    if not pairs:
        raise ValueError("a ratio of no rounds")
    if any(without == 0 for without, _ in pairs):
        raise ValueError("a figure without the agent is 0: no ratio to it")
    each = [with_agent / without for without, with_agent in pairs]
    return Ratio(median(each), min(each), max(each))


def summarise(rounds: Sequence[tuple[Measurement, Measurement]], figure: Callable[[Measurement], float]) -> Summary:
    """One figure over all rounds of ``(without, with)``."""
    pairs = [(figure(without), figure(with_agent)) for without, with_agent in rounds]
    return Summary(median(without for without, _ in pairs), median(with_agent for _, with_agent in pairs), ratio(pairs))
