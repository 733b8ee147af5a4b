"""A rollout by the operator over agents of real nodes: step by step, rolled back where a kernel cannot, or where it costs too much.

The tests are steps of one story, and run in their order. The requests that are recorded are the kubelets', which probe the pods.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from clew_lab.cluster import Cluster

from tests.cluster import clew
from tests.cluster.received import Spans
from tests.cluster.web import until

NAME = "steps"
CANARY, OTHER = "worker-1", "worker-2"
ONLY_IN_612 = "splice_to_socket"
STEPS = [{"nodes": "1", "soak": "1h"}, {"nodes": "100%"}]

pytestmark = pytest.mark.usefixtures("bookinfo", "installed")


def apply(cluster: Cluster, *functions: str, **more: object) -> None:
    """Apply the policy with these functions."""
    spec = {"namespaces": ["bookinfo"], "kernelFunctions": [{"function": one} for one in functions], "rollout": {"steps": STEPS}, **more}
    policy = {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "metadata": {"name": NAME}, "spec": spec}
    cluster.kubectl("apply", "--filename=-", input=json.dumps(policy))


def status(cluster: Cluster) -> Mapping[str, Any]:
    policy = json.loads(cluster.kubectl("get", "tracingpolicies.clew.dev", NAME, "--output=json").stdout)
    found = policy.get("status") or {}
    return found if found.get("observedGeneration") == policy["metadata"]["generation"] else {}


def condition(cluster: Cluster, kind: str) -> tuple[str, str, str]:
    """A condition of the policy as it is: status, reason, message."""
    found: dict[str, str] = next((one for one in status(cluster).get("conditions", ()) if one["type"] == kind), {})
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


def enforced(cluster: Cluster, node: str) -> list[tuple[str, str]]:
    """Revision and state of the policy on a node, by its agent."""
    entries = clew.tracing(cluster, node)["status"].get("policies", ())
    return [(one["revision"], one["state"]) for one in entries if one["name"] == NAME]


def kubectl_clew(cluster: Cluster, *arguments: str) -> str:
    argv = [sys.executable, "-m", "clew_cli.main", *arguments]
    environment = {**cluster.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", autouse=True)
def policy(cluster: Cluster) -> Iterator[None]:
    """The policy, new with one function; taken away at the end."""
    apply(cluster, "security_socket_sendmsg")
    yield
    cluster.kubectl("delete", "tracingpolicies.clew.dev", NAME)


def test_a_policy_goes_to_one_node_and_waits(cluster: Cluster) -> None:
    until(lambda: [state for _, state in enforced(cluster, CANARY)] == ["Ready"])
    assert enforced(cluster, OTHER) == []
    assert condition(cluster, "Ready")[0] == "False"


def test_promoted_it_goes_to_the_rest(cluster: Cluster, spans: Spans) -> None:
    kubectl_clew(cluster, "promote", NAME)
    cluster.kubectl("wait", f"tracingpolicies.clew.dev/{NAME}", "--for=condition=Ready", f"--timeout={clew.PATIENCE}s")
    assert {state for node in (CANARY, OTHER) for _, state in enforced(cluster, node)} == {"Ready"}
    for node in (CANARY, OTHER):
        spans.await_function("security_socket_sendmsg", node, time.time_ns())


def test_a_function_that_one_kernel_lacks_is_rolled_back(cluster: Cluster, spans: Spans) -> None:
    stable = enforced(cluster, CANARY)
    apply(cluster, ONLY_IN_612)
    until(lambda: [state for _, state in enforced(cluster, CANARY)] == ["Ready"] and enforced(cluster, CANARY) != stable)
    kubectl_clew(cluster, "promote", NAME)
    until(lambda: condition(cluster, "Stalled")[:2] == ("True", "FunctionNotFound"))
    assert (
        f"{OTHER}: FunctionNotFound: none of the kernel functions is recorded: this kernel has no function {ONLY_IN_612}"
        in (condition(cluster, "Stalled")[2])
    )
    until(lambda: enforced(cluster, CANARY) == enforced(cluster, OTHER) == stable)
    for node in (CANARY, OTHER):
        spans.await_function("security_socket_sendmsg", node, time.time_ns())


def test_a_policy_over_its_budget_is_rolled_back(cluster: Cluster) -> None:
    """Sixteen mebibytes are less than Python takes."""
    stable = enforced(cluster, CANARY)
    apply(cluster, "security_socket_sendmsg", "tcp_sendmsg_locked", limits={"overhead": {"memoryMiB": 16}})
    until(lambda: condition(cluster, "Stalled")[:2] == ("True", "OverheadExceeded"))
    assert "MiB, where limits.overhead.memoryMiB allows 16" in condition(cluster, "Stalled")[2]
    until(lambda: enforced(cluster, CANARY) == stable)
    assert enforced(cluster, OTHER) == stable
