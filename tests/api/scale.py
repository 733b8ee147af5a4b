"""What a rollout over many nodes costs, on a real API server with nodes and agents that are simulated: for a test and the benchmark.

Two things happen: the operator starts on a cluster of so many nodes, and each gets its NodeTracing; then a policy goes out to
all of them in one step, as fast as answers come.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from clew_lab.agents import running_agents

from tests.api.audit import per_object, writes
from tests.api.operators import Rig, is_true

_LIMIT = 600


@dataclass(frozen=True, slots=True)
class Cost:
    """``start_seconds`` are those until every node has its NodeTracing, ``seconds`` those from the policy's apply to Ready.

    CPU is the operator's, of both. Writes are of objects of Clew's, the policy's status and the revision included, per node; the most
    are those on one node's NodeTracing. ``status_bytes`` is the policy's status, as JSON.
    """

    nodes: int
    start_seconds: float
    seconds: float
    start_cpu_seconds: float
    cpu_seconds: float
    peak_rss_mib: float
    operator_writes: float
    operator_writes_most: int
    agent_writes: float
    agent_writes_most: int
    status_bytes: int


def measure(running: Rig, nodes: int) -> Cost:
    """Add nodes to a fresh cluster and roll a policy out over them."""
    running.cluster.add_nodes(nodes)
    with running_agents(running.cluster.kubeconfig):
        began = time.monotonic()
        operator = running.start_operator("--lease-duration=15s")  # as it is by default; the tests' two seconds are for failovers
        _until_all_answered(running, nodes, began + _LIMIT)
        start_seconds, start_cpu = time.monotonic() - began, operator.cpu_seconds()
        began = time.monotonic()
        running.apply("scale", {}, maxUnavailable="100%")
        status = running.until("scale", lambda one: is_true(one, "Ready"), _LIMIT)
        seconds, cpu, peak = time.monotonic() - began, operator.cpu_seconds() - start_cpu, operator.peak_rss_mib()
    assert status["nodes"] == {"desired": nodes, "updated": nodes, "ready": nodes, "failed": 0, "unsupported": 0, "silent": 0}
    assert operator.stop() == 0
    found = writes(running.cluster.audit_log)
    told, answered = per_object(found, "nodetracings", "clew-operator"), per_object(found, "nodetracings/status", "clew-agent")
    return Cost(
        nodes,
        start_seconds,
        seconds,
        start_cpu,
        cpu,
        peak,
        sum(one.manager == "clew-operator" for one in found) / nodes,
        max(told.values()),
        sum(answered.values()) / nodes,
        max(answered.values()),
        len(json.dumps(status, separators=(",", ":"))),
    )


def _until_all_answered(running: Rig, nodes: int, deadline: float) -> None:
    """Wait until every node's agent has answered for its first NodeTracing. The log is a file: there is no event to wait for."""
    while len(per_object(writes(running.cluster.audit_log), "nodetracings/status", "clew-agent")) < nodes:
        assert time.monotonic() < deadline, "not every node has a NodeTracing that was answered for"
        time.sleep(0.5)
