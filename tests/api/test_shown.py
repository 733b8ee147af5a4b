"""What docs/kubectl.md shows is what kubectl and helm print: the page is played on a control plane with the chart and the real operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from clew_crds.node import Kernel, State
from clew_lab.agents import Agents, Behaviour, running_agents
from clew_lab.cluster import Cluster
from clew_lab.cluster.components import kubeconfig

from tests.api.definitions import await_explained
from tests.api.installed import NAMESPACE, install
from tests.api.operators import Rig, is_true, rig, rolled_back
from tests.api.rest import until
from tests.api.stage import Stage

NODES = 6
NO_FUNCTION = (
    "none of the kernel functions is recorded: this kernel has no function tcp_sendmesg; "
    "did you mean tcp_sendmsg or mptcp_sendmsg or tcp_send_mss?"
)
"""As the agent says it (clew_agent.cluster.report)."""


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[Rig]:
    """The chart is installed, and the operator runs beside the control plane with its account's token: kwok's pods run nothing."""
    cluster.add_nodes(NODES)
    install(cluster)
    with rig(cluster) as made:
        token = cluster.kubectl("create", "token", "clew-operator", "--namespace", NAMESPACE).stdout.strip()
        file = cluster.folder / "operator.kubeconfig"
        file.write_text(kubeconfig(cluster.url, cluster.ca, token))
        made.start_operator("--namespace", NAMESPACE, kubeconfig=file)
        yield made


@pytest.fixture(scope="module")
def agents(running: Rig) -> Iterator[Agents]:
    nodes = json.loads(running.cluster.kubectl("get", "nodes", "-o", "json").stdout)["items"]
    kernels = {one["metadata"]["name"]: Kernel(release=one["status"]["nodeInfo"]["kernelVersion"], propagation="On") for one in nodes}
    with running_agents(running.cluster.kubeconfig, kernels=kernels) as made:
        yield made


def until_told(running: Rig, reason: str, times: int = 1) -> None:
    """Wait for an event of the policy; events are written after the status that they are about."""

    def told() -> bool:
        found = json.loads(running.cluster.kubectl("get", "events.events.k8s.io", "-o", "json").stdout)["items"]
        return [one["reason"] for one in found].count(reason) == times

    until(told)


def test_what_kubectl_shows(running: Rig, agents: Agents, tmp_path: Path) -> None:
    stage = Stage("kubectl.md", tmp_path, running.cluster.environment)
    stage.play("Apply")
    running.until("bookinfo", lambda one: "soakStartedTime" in one.get("rollout", {}))
    stage.play("While it goes out")
    stage.play("Until it is ready")
    until_told(running, "RolledOut")
    stage.play("When it is ready")
    stage.play("What is behind it")
    stage.play("What is refused")
    good = running.policy("bookinfo")["status"]["revision"]
    agents.behave([Behaviour(revision=good), Behaviour(state=State.FAILED, reason="FunctionNotFound", message=NO_FUNCTION)])
    stage.play("A node that fails")
    running.until("bookinfo", lambda one: is_true(one, "Stalled") and rolled_back(one))
    until_told(running, "RolledBack")
    stage.play("After it failed")
    stage.play("Mended")
    await_explained(running.cluster, "tracingpolicies.clew.dev")
    stage.play("Explain")
    stage.play("Is the installation sound")
    stage.play("Gone")
    stage.end()
