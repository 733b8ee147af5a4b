"""What a run of load saw, and how it is told: as text, as JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Failures", "LoadResult", "percentile", "to_json", "to_text"]

_SHARES = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "max": 1.0}


@dataclass(slots=True)
class Failures:
    """Requests that failed for one reason: how many, and when the first and the last of them did, in seconds after the start."""

    count: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A latency in nanoseconds per request that was answered with 2xx, the others by the reason of their failure, the length in seconds."""

    latencies_ns: Sequence[int]
    seconds: float
    failed: Mapping[str, Failures] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        """How many requests failed."""
        return sum(group.count for group in self.failed.values())

    @property
    def requests(self) -> int:
        """How many requests were sent; each of them was answered or failed."""
        return len(self.latencies_ns) + self.failures


def percentile(values: Sequence[int], share: float) -> int:
    """The smallest value that at least ``share`` of the values do not exceed (nearest rank). Raises ``ValueError`` when there is none."""
    if not values:
        raise ValueError("a percentile of no values")
    if not 0 < share <= 1:
        raise ValueError(f"a share is above 0 and at most 1, not {share}")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def to_json(result: LoadResult) -> dict[str, Any]:
    """The figures for machines. ``latency_ms`` is of requests that were answered with 2xx, and empty where there are none."""
    return {
        "requests": result.requests,
        "failures": result.failures,
        "seconds": round(result.seconds, 3),
        "latency_ms": _latencies(result),
        "failed": [
            {"reason": reason, "count": group.count, "first": round(group.first, 3), "last": round(group.last, 3)}
            for reason, group in result.failed.items()
        ],
    }


def to_text(result: LoadResult) -> str:
    """The same figures for people, a line each."""
    lines = [f"{result.requests} requests in {result.seconds:.1f} s ({result.requests / result.seconds:.1f}/s), {result.failures} failed"]
    latencies = _latencies(result)
    if latencies:
        lines.append("latency " + ", ".join(f"{name} {value:.1f} ms" for name, value in latencies.items()))
    for reason, group in result.failed.items():
        lines.append(f"failed {group.count}: {reason} (from {group.first:.1f} s to {group.last:.1f} s)")
    return "\n".join(lines) + "\n"


def _latencies(result: LoadResult) -> dict[str, float]:
    if not result.latencies_ns:
        return {}
    return {name: percentile(result.latencies_ns, share) / 1e6 for name, share in _SHARES.items()}
