"""What a benchmark found, as tables of plain Markdown and as JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.figures import Measurement, Ratio, Summary, summarise

__all__ = ["FIGURES", "AgentCost", "Row", "losses", "ratio_cell", "render", "table", "to_json"]

FIGURES = {
    "throughput, requests/s": lambda run: run.throughput,
    "p50, ms": lambda run: run.p50_ms,
    "p99, ms": lambda run: run.p99_ms,
    "CPU of the whole guest per request, ms": lambda run: run.cpu_ms,
}
_SAMPLE = re.compile(r"^clew_(\w+)_total(?:\{[^}]*\})?\s+([0-9.eE+]+)$", re.MULTILINE)
_LOSS = re.compile(r"lost|dropped|full|undecoded|not_injected|unreadable|busy|cut|_limit|_rate|depth|unwound")


@dataclass(frozen=True, slots=True)
class AgentCost:
    """One start of the agent: seconds until ready, resident KiB of its main process and of all, CPU seconds under load, losses."""

    ready_seconds: float
    main_rss_kib: int
    all_rss_kib: int
    cpu_seconds: float
    requests: int
    lost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One workload's rounds of ``(without, with)``; or what is missing to run it."""

    name: str
    rounds: Sequence[tuple[Measurement, Measurement]] = ()
    missing: str = ""


def losses(exposition: str) -> dict[str, float]:
    """The agent's counters of anything lost or left undone (``docs/metrics.md``) that are above 0, from its Prometheus text."""
    found: dict[str, float] = {}
    for name, value in _SAMPLE.findall(exposition):
        if float(value) > 0 and _LOSS.search(name):
            found[name] = found.get(name, 0.0) + float(value)
    return found


def render(rows: Sequence[Row], agent: Sequence[AgentCost], control: bool = False) -> str:
    """The report: ratios first (median of the rounds, extremes in brackets), then medians, then the agent itself.

    A ``control`` had no agent in either half, and says so.
    """
    ratios = [[row.name, *(ratio_cell(summary.ratio) for summary in _summaries(row))] for row in rows if row.rounds]
    medians = [
        [row.name, *(f"{summary.without:.4g} → {summary.with_agent:.4g}" for summary in _summaries(row))] for row in rows if row.rounds
    ]
    heads = [name.partition(",")[0] for name in FIGURES]
    parts = [
        "Control, no agent in either half; second over first:" if control else "With the agent over without it:",
        table(["load", *heads], ratios),
        "First → second:" if control else "Without → with:",
        table(["load", *FIGURES], medians),
        *(f"Not run: {row.name}: {row.missing}" for row in rows if not row.rounds),
        *_agent_lines(agent),
    ]
    return "\n\n".join(parts) + "\n"


def to_json(rows: Sequence[Row], agent: Sequence[AgentCost]) -> dict[str, Any]:
    """The same figures for machines; no latencies one by one."""
    return {
        "workloads": [
            {
                "name": row.name,
                "missing": row.missing,
                "requests": [[len(run.latencies_ns) for run in pair] for pair in row.rounds],
                "failures": sum(run.failures for pair in row.rounds for run in pair),
                "figures": {name: _summary_json(summary) for name, summary in zip(FIGURES, _summaries(row), strict=True)}
                if row.rounds
                else {},
            }
            for row in rows
        ],
        "agent": [
            {
                "ready_seconds": cost.ready_seconds,
                "main_rss_kib": cost.main_rss_kib,
                "all_rss_kib": cost.all_rss_kib,
                "cpu_seconds": cost.cpu_seconds,
                "requests": cost.requests,
                "lost": dict(cost.lost),
            }
            for cost in agent
        ],
    }


def _summaries(row: Row) -> list[Summary]:
    return [summarise(row.rounds, figure) for figure in FIGURES.values()]


def _summary_json(summary: Summary) -> dict[str, float]:
    return {
        "without": summary.without,
        "with": summary.with_agent,
        "ratio": summary.ratio.median,
        "ratio_low": summary.ratio.low,
        "ratio_high": summary.ratio.high,
    }


def ratio_cell(ratio: Ratio) -> str:
    """A ratio as it stands in a table: the median, the extremes in brackets."""
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _agent_lines(agent: Sequence[AgentCost]) -> list[str]:
    if not agent:
        return []
    per_thousand = median(1000 * cost.cpu_seconds / cost.requests for cost in agent)
    lost: dict[str, float] = {}
    for cost in agent:
        for name, value in cost.lost.items():
            lost[name] = lost.get(name, 0.0) + value
    return [
        f"Agent, median of {len(agent)} starts: ready after {median(cost.ready_seconds for cost in agent):.1f} s, "
        f"main process {median(cost.main_rss_kib for cost in agent) / 1024:.0f} MiB, "
        f"all its processes {median(cost.all_rss_kib for cost in agent) / 1024:.0f} MiB resident, "
        f"{per_thousand:.2f} CPU seconds per 1,000 requests.",
        "Lost: " + (", ".join(f"{name} {value:g}" for name, value in sorted(lost.items())) or "nothing") + ".",
    ]
