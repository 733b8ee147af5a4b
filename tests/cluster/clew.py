"""Clew in the cluster, by its own chart and images; how policies are applied, and what comes of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clew_lab.cluster import Cluster
from clew_lab.nodes.machine import LabNode

from tests.docs import quickstart
from tests.docs.terminal import Terminal

CHART = str(Path(__file__).parents[2] / "charts/clew")
NAMESPACE = "clew-system"
PATIENCE = 900

CLOCKS_NS = 50_000_000
"""By how much the clocks of two nodes may differ at most, in nanoseconds, where they are not measured."""

_DELAY = "agent.env[0].name=OTEL_BSP_SCHEDULE_DELAY,agent.env[0].value="
SETTINGS = "--set agent.sysAdmin=true,operator.replicas=1"
"""Debian's kernels want the one (docs/safety.md); one operator, for an emulated processor's sake."""
SPANS_SOON = f"{SETTINGS} --set-string '{_DELAY}2000'"


def install(terminal: Terminal, endpoint: str, settings: str = SPANS_SOON) -> float:
    """Install the chart as the quick start does, and wait until all runs; the seconds that it took."""
    began = time.monotonic()
    quickstart.install(terminal, endpoint, settings)
    return time.monotonic() - began


def exchange(cluster: Cluster) -> None:
    """Upgrade to a release whose agents are others, since they send spans a little sooner, and wait until all run.

    Helm would wait for all but one, since that many may be missing at any time.
    """
    cluster.helm("upgrade", "clew", CHART, "--namespace", NAMESPACE, "--reuse-values", "--set-string", f"{_DELAY}1500")
    cluster.kubectl("rollout", "status", "daemonset/clew-agent", f"--namespace={NAMESPACE}", f"--timeout={PATIENCE}s")


def apply(cluster: Cluster, path: Path) -> None:
    """Apply a policy of a file, and wait until all nodes enforce it."""
    cluster.kubectl("apply", f"--filename={path}")
    cluster.kubectl("wait", f"--filename={path}", "--for=condition=Ready", f"--timeout={PATIENCE}s")


def tracing(cluster: Cluster, node: str) -> Mapping[str, Any]:
    """The NodeTracing of a node."""
    found = json.loads(cluster.kubectl("get", "nodetracings.clew.dev", node, "--output=json").stdout)
    assert isinstance(found, dict)
    return found


def agent_on(cluster: Cluster, node: str) -> str:
    """The name of the agent's pod on a node."""
    (pod,) = pods_of(cluster, "agent", f"--field-selector=spec.nodeName={node}")
    return pod


def pods_of(cluster: Cluster, component: str, *narrowed: str) -> list[str]:
    """The names of the pods of a part of Clew; all of them, if kubectl is told no more."""
    chosen = (f"--selector=app.kubernetes.io/component={component}", f"--namespace={NAMESPACE}", *narrowed)
    return cluster.kubectl("get", "pods", *chosen, "--output=jsonpath={.items[*].metadata.name}").stdout.split()


def bpf(node: LabNode) -> list[str]:
    """All programs, maps and links of BPF in a node's kernel, but for the programs by which runc guards devices."""
    found = [
        (kind, one) for kind in ("prog", "map", "link") for one in json.loads(node.run("bpftool", "--json", kind, "show").stdout or "[]")
    ]
    return [f"{kind} {one.get('name', one['id'])}" for kind, one in found if one.get("type") != "cgroup_device"]
