"""What docs/kubectl.md shows is what kubectl and helm print: the page is played on a control plane with the chart and the real operator."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from clew_crds.node import State
from clew_lab.agents import Agents, Behaviour, running_agents
from clew_lab.cluster import Cluster
from clew_lab.cluster.components import kubeconfig

from tests.api.definitions import await_explained
from tests.api.installed import NAMESPACE, install
from tests.api.operators import Rig, is_true, rig, rolled_back
from tests.api.rest import until
from tests.api.stage import Stage, kernels

NODES = 6
NO_FUNCTION = (
    "none of the kernel functions is recorded: this kernel has no function tcp_sendmesg; "
    "did you mean tcp_sendmsg or mptcp_sendmsg or tcp_send_mss?"
)
"""As the agent says it (clew_agent.cluster.report)."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The chart on a control plane, with an operator that really runs. ``environment`` has what the pod of `helm test` is given."""

    rig: Rig
    environment: dict[str, str]


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[Installed]:
    """The operator runs beside the control plane with its account's token: kwok's pods run nothing."""
    cluster.add_nodes(NODES)
    install(cluster)
    account = cluster.folder / "account"
    account.mkdir()
    token = cluster.kubectl("create", "token", "clew-operator", "--namespace", NAMESPACE).stdout.strip()
    (account / "token").write_text(token)
    shutil.copy(cluster.ca, account / "ca.crt")
    (account / "kubeconfig").write_text(kubeconfig(cluster.url, cluster.ca, token))
    with rig(cluster) as made:
        health = f"127.0.0.1:{free_port()}"
        made.start_operator("--lease-duration=15s", "--namespace", NAMESPACE, "--health-address", health, kubeconfig=account / "kubeconfig")
        given = {"SERVICE_ACCOUNT_FOLDER": str(account), "API_URL": cluster.url, "OPERATOR_URL": f"http://{health}"}
        yield Installed(made, cluster.environment | given)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def agents(installed: Installed) -> Iterator[Agents]:
    cluster = installed.rig.cluster
    with running_agents(cluster.kubeconfig, kernels=kernels(cluster)) as made:
        yield made


def until_told(cluster: Cluster, reason: str) -> None:
    """Wait for an event of the policy: it is written after the status that it is about."""
    until(lambda: reason in cluster.kubectl("get", "events.events.k8s.io", "-o", "jsonpath={.items[*].reason}").stdout.split())


def test_what_kubectl_shows(installed: Installed, agents: Agents, tmp_path: Path) -> None:
    running = installed.rig
    stage = Stage("kubectl.md", tmp_path, installed.environment)
    stage.play("Apply")
    running.until("bookinfo", lambda one: "soakStartedTime" in one.get("rollout", {}))
    stage.play("While it goes out")
    stage.play("Until it is ready")
    until_told(running.cluster, "RolledOut")
    stage.play("When it is ready")
    stage.play("What is behind it")
    stage.play("What is refused")
    good = running.policy("bookinfo")["status"]["revision"]
    agents.behave([Behaviour(revision=good), Behaviour(state=State.FAILED, reason="FunctionNotFound", message=NO_FUNCTION)])
    stage.play("A node that fails")
    running.until("bookinfo", lambda one: is_true(one, "Stalled") and rolled_back(one))
    until_told(running.cluster, "RolledBack")
    stage.play("After it failed")
    stage.play("Mended")
    await_explained(running.cluster, "tracingpolicies.clew.dev")
    stage.play("Explain")
    stage.play("Is the installation sound")
    stage.play("Gone")
    stage.end()
