"""Clew in the cluster, by its own chart and images; how policies are applied, and what comes of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clew_lab.cluster import Cluster

CHART = str(Path(__file__).parents[2] / "charts/clew")
NAMESPACE = "clew-system"
PATIENCE = 600
CLOCKS_NS = 50_000_000
"""By how much the clocks of two nodes may differ at most, in nanoseconds."""

# On the lab's kernels, Debian's, propagation and kprobes need it: docs/safety.md.
SETTINGS = ("--set", "agent.sysAdmin=true", "--set-string", "agent.env[0].name=OTEL_BSP_SCHEDULE_DELAY,agent.env[0].value=500")


def install(cluster: Cluster, endpoint: str) -> float:
    """Install the chart, and wait until all runs; the seconds that it took."""
    return _helm(cluster, "install", endpoint, "--create-namespace")


def upgrade(cluster: Cluster, endpoint: str) -> float:
    """Exchange the agents for such as send to another endpoint, and wait until all run; the seconds that it took."""
    return _helm(cluster, "upgrade", endpoint)


def _helm(cluster: Cluster, what: str, endpoint: str, *more: str) -> float:
    began = time.monotonic()
    where = ("--namespace", NAMESPACE, "--wait", "--timeout", f"{PATIENCE}s")
    cluster.helm(what, "clew", CHART, *where, "--set", f"otlp.endpoint={endpoint}", *SETTINGS, *more)
    return time.monotonic() - began


def uninstall(cluster: Cluster) -> None:
    """Take the chart away, and wait until its pods are."""
    cluster.helm("uninstall", "clew", "--namespace", NAMESPACE, "--wait")
    cluster.kubectl("wait", "pods", "--all", f"--namespace={NAMESPACE}", "--for=delete", f"--timeout={PATIENCE}s")


@contextmanager
def applied(cluster: Cluster, *paths: Path) -> Iterator[None]:
    """Policies of files, applied and Ready; taken back at the end."""
    files = [f"--filename={path}" for path in paths]
    cluster.kubectl("apply", *files)
    try:
        cluster.kubectl("wait", *files, "--for=condition=Ready", f"--timeout={PATIENCE}s")
        yield
    finally:
        cluster.kubectl("delete", *files)


def tracing(cluster: Cluster, node: str) -> Mapping[str, Any]:
    """The NodeTracing of a node."""
    found = json.loads(cluster.kubectl("get", "nodetracings.clew.dev", node, "--output=json").stdout)
    assert isinstance(found, dict)
    return found


def agent_on(cluster: Cluster, node: str) -> str:
    """The name of the agent's pod on a node."""
    of_agent = ("--selector=app.kubernetes.io/component=agent", f"--field-selector=spec.nodeName={node}", f"--namespace={NAMESPACE}")
    return cluster.kubectl("get", "pods", *of_agent, "--output=jsonpath={.items[0].metadata.name}").stdout
