"""What the benchmark on two nodes reads and tells: processes, audit lines, ratios of paired rounds, tables of Markdown. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

import yaml
from clew_lab.load import percentile

from bench.figures import ratio
from bench.report import ratio_cell, table

__all__ = [
    "FULL",
    "LOADS",
    "REQUESTS",
    "WITHOUT",
    "Found",
    "Run",
    "Weight",
    "agent_requests",
    "parse_weight",
    "render",
    "without_functions",
]

AGENT = "system:serviceaccount:clew-system:clew-agent"
WITHOUT, REQUESTS, FULL = "no policy", "requests alone", "kernel functions, too"
"""What is in force on both nodes while a load runs."""
LOADS = ("closed loop, 1 connection", "open loop, 2 requests/s")
FIGURES: Mapping[str, Callable[[Sequence[int]], float]] = {
    "p50": lambda latencies: percentile(latencies, 0.50) / 1e6,
    "p95": lambda latencies: percentile(latencies, 0.95) / 1e6,
    "mean": lambda latencies: fmean(latencies) / 1e6,
}
"""What is made of latencies in nanoseconds; in milliseconds."""

_TIMES = slice(14 - 3, 17 - 3 + 1)  # of /proc/PID/stat, behind the name: utime, stime, and both of children that have ended
_TICKS = 100  # a second: USER_HZ


@dataclass(frozen=True, slots=True)
class Weight:
    """All processes of one agent: resident KiB, and CPU seconds since it began, those of processes that have ended included."""

    rss_kib: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """Both loads under one state: latencies in nanoseconds by load, requests sent, and of each node's agent the KiB at the end and the CPU
    seconds meanwhile."""

    latencies: Mapping[str, Sequence[int]]
    requests: int
    agents: Mapping[str, Weight]


@dataclass(slots=True)
class Found:
    """All that was measured. ``steps`` are seconds; ``at_rest`` is over ``minutes`` without load, of all agents together."""

    steps: dict[str, list[float]] = field(default_factory=dict)
    rounds: list[dict[str, Run]] = field(default_factory=list)
    minutes: float = 0.0
    at_rest: Counter[tuple[str, str]] = field(default_factory=Counter)
    cpu_at_rest: dict[str, float] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    exported: float = 0.0
    failures: int = 0


def without_functions(policy: str) -> str:
    """A policy, given as YAML, that records no kernel function; as JSON."""
    document: dict[str, Any] = yaml.safe_load(policy)
    spec = {key: value for key, value in document["spec"].items() if key != "kernelFunctions"}
    return json.dumps({**document, "spec": spec})


def parse_weight(text: str) -> Weight:
    """What ``/proc/PID/stat`` and the line ``VmRSS`` of ``/proc/PID/status`` say, of several processes one after the other.

    Raises ``ValueError`` when there is no process.
    """
    lines = text.splitlines()
    resident = [int(line.split()[1]) for line in lines if line.startswith("VmRSS:")]
    # A name may hold spaces: fields are counted from what closes it, the third one first.
    stats = [line.rpartition(")")[2].split() for line in lines if not line.startswith("VmRSS:")]
    if not stats:
        raise ValueError("no process of the agent: its container is gone")
    return Weight(sum(resident), sum(int(ticks) for fields in stats for ticks in fields[_TIMES]) / _TICKS)


def agent_requests(lines: Iterable[str]) -> Counter[tuple[str, str]]:
    """How often agents asked the API server, by verb and resource. A watch counts when it begins, all else when it has been answered."""
    counted: Counter[tuple[str, str]] = Counter()
    for line in lines:
        if not line.endswith("\n"):
            break  # it is being written
        event = json.loads(line)
        counts = "ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"
        if event["user"]["username"] == AGENT and event["stage"] == counts:
            reference = event.get("objectRef", {"resource": event["requestURI"]})  # no object: /version
            counted[event["verb"], "/".join(reference[key] for key in ("resource", "subresource") if key in reference)] += 1
    return counted


def per_hour(count: float, minutes: float) -> float:
    """What was counted in so many minutes, an hour."""
    return count * 60 / minutes


def render(found: Found) -> str:
    """The report: ratios first, then latencies, the agents, their requests, and how long it took to get there."""
    parts = [
        "With the policy over without it, round by round; of all rounds the median, and the extremes:",
        table(["load", "policy", "round", *FIGURES], _ratios(found.rounds)),
        "Latency, medians of the rounds:",
        table(["load", "policy", *(f"{name}, ms" for name in FIGURES)], _latencies(found.rounds)),
        "Agents under load, medians of the rounds:",
        table(["agent", "policy", "memory, MiB", "CPU seconds per 1,000 requests"], _agents(found.rounds)),
        f"At rest, the policy in force, over {found.minutes:g} minutes:",
        table(["agent", "CPU seconds an hour"], [[node, f"{per_hour(cpu, found.minutes):.1f}"] for node, cpu in found.cpu_at_rest.items()]),
        table(["verb", "resource", "requests per agent and hour"], _requests(found)),
        "Seconds that it took:",
        table(["step", "first", "others"], [[name, f"{took[0]:.1f}", _others(took[1:])] for name, took in found.steps.items()]),
        f"Spans exported: {found.exported:,.0f}. "
        f"Lost: {', '.join(f'{name} {value:g}' for name, value in sorted(found.lost.items())) or 'nothing'}. "
        f"Requests that failed: {found.failures}.",
    ]
    return "\n\n".join(parts) + "\n"


def _ratios(rounds: Sequence[Mapping[str, Run]]) -> list[list[str]]:
    rows = []
    for load in LOADS:
        for state in (REQUESTS, FULL):
            pairs = {
                name: [(figure(one[WITHOUT].latencies[load]), figure(one[state].latencies[load])) for one in rounds]
                for name, figure in FIGURES.items()
            }
            for number in range(len(rounds)):
                each = (pair[number][1] / pair[number][0] for pair in pairs.values())
                rows.append([load, state, str(number + 1), *(f"{value:.2f}" for value in each)])
            rows.append([load, state, "all", *(ratio_cell(ratio(pair)) for pair in pairs.values())])
    return rows


def _latencies(rounds: Sequence[Mapping[str, Run]]) -> list[list[str]]:
    return [
        [load, state, *(f"{median(figure(one[state].latencies[load]) for one in rounds):.1f}" for figure in FIGURES.values())]
        for load in LOADS
        for state in (WITHOUT, REQUESTS, FULL)
    ]


def _agents(rounds: Sequence[Mapping[str, Run]]) -> list[list[str]]:
    rows = []
    for node in rounds[0][WITHOUT].agents:
        for state in (WITHOUT, REQUESTS, FULL):
            runs = [one[state] for one in rounds]
            memory = median(run.agents[node].rss_kib for run in runs) / 1024
            cpu = median(1000 * run.agents[node].cpu_seconds / run.requests for run in runs)
            rows.append([node, state, f"{memory:.0f}", f"{cpu:.2f}"])
    return rows


def _requests(found: Found) -> list[list[str]]:
    agents = len(found.cpu_at_rest)
    counts = [*sorted(found.at_rest.items()), (("all", ""), found.at_rest.total())]
    return [[*what, f"{per_hour(count / agents, found.minutes):.1f}"] for what, count in counts]


def _others(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})" if seconds else ""
