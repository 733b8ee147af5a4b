"""``python -m bench.rollout``: what a rollout costs the operator, over clusters of growing size on the lab's control plane.

Nodes are kwok's and agents simulated, so only what the operator and the API server do is real. Each size gets a fresh control plane.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence

from clew_lab.cluster import start_cluster

from bench.quiet import warn_if_busy
from bench.report import table
from tests.api.operators import rig
from tests.api.scale import Cost, measure

__all__ = ["main", "render"]

SIZES = (500, 1000, 2000, 5000)

COLUMNS: dict[str, Callable[[Cost], str]] = {
    "nodes": lambda cost: f"{cost.nodes:,}",
    "start, s": lambda cost: f"{cost.start_seconds:.1f}",
    "rollout, s": lambda cost: f"{cost.seconds:.1f}",
    "CPU start, s": lambda cost: f"{cost.start_cpu_seconds:.1f}",
    "CPU rollout, s": lambda cost: f"{cost.cpu_seconds:.1f}",
    "peak RSS, MiB": lambda cost: f"{cost.peak_rss_mib:.0f}",
    "writes per node, operator": lambda cost: f"{cost.operator_writes:.2f}",
    "writes per node, agent": lambda cost: f"{cost.agent_writes:.2f}",
    "status, bytes": lambda cost: f"{cost.status_bytes:,}",
}
PER_NODE: dict[str, Callable[[Cost], float]] = {
    "start, s": lambda cost: cost.start_seconds / cost.nodes,
    "rollout, s": lambda cost: cost.seconds / cost.nodes,
    "CPU start, s": lambda cost: cost.start_cpu_seconds / cost.nodes,
    "CPU rollout, s": lambda cost: cost.cpu_seconds / cost.nodes,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure each size and print the tables; any failed rollout ends it."""
    parser = argparse.ArgumentParser(prog="python -m bench.rollout", description="A policy over clusters of growing size.")
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, metavar="NODES", help="sizes of the clusters (default: 500 to 5,000)")
    asked = parser.parse_args(argv)
    warn_if_busy()
    costs = []
    for nodes in asked.sizes:
        # The operator's log goes where this program's own remarks go.
        with contextlib.redirect_stdout(sys.stderr), start_cluster() as cluster, rig(cluster) as running:
            costs.append(measure(running, nodes))
        print(f"bench: {nodes} nodes done", file=sys.stderr)
    print(render(costs))
    return 0


def render(costs: Sequence[Cost]) -> str:
    """What was measured, and what it is per node, relative to the first size: where cost grows linearly, that stays at 1 or below. Pure."""
    whole = [[column(cost) for column in COLUMNS.values()] for cost in costs]
    relative = [[f"{cost.nodes:,}", *(f"{figure(cost) / figure(costs[0]):.2f}" for figure in PER_NODE.values())] for cost in costs]
    return f"{table(list(COLUMNS), whole)}\n\nPer node, relative to {costs[0].nodes:,} nodes:\n\n{table(['nodes', *PER_NODE], relative)}"


if __name__ == "__main__":
    raise SystemExit(main())
