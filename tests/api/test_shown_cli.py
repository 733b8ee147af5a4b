"""What docs/cli.md shows is what the command prints: the page is played on a control plane with the real operator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clew_crds.node import FunctionReport, State
from clew_crds.policy import PolicySpec
from clew_crds.revision import enforced, revision_name
from clew_lab.agents import Agents, Behaviour, running_agents
from clew_lab.cluster import Cluster

from tests.api.operators import Document, Rig, is_true, rig
from tests.api.stage import Stage, kernels

NODES = 12
STEPS = [{"nodes": "1", "soak": "2m"}, {"nodes": "25%", "soak": "5m"}, {"nodes": "100%"}]
NO_FUNCTION = "this kernel has no function tcp_sendmesg; did you mean tcp_sendmsg or mptcp_sendmsg or tcp_send_mss?"
"""As the agent says it (clew_agent.cluster.report)."""


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[Rig]:
    with rig(cluster) as made:
        cluster.add_nodes(NODES, kernels=("6.12.107+deb13-amd64",))
        made.start_operator("--lease-duration=15s")  # as it is by default
        yield made


@pytest.fixture(scope="module")
def agents(running: Rig) -> Iterator[Agents]:
    with running_agents(running.cluster.kubeconfig, kernels=kernels(running.cluster)) as made:
        yield made


def spec(*functions: str) -> Document:
    return {"namespaces": ["bookinfo"], "kernelFunctions": [{"function": one} for one in functions]}


OLD, NEW = spec("tcp_sendmsg"), spec("tcp_sendmsg", "tcp_sendmesg")
REVISION = revision_name("bookinfo", enforced(PolicySpec.model_validate(NEW)))


def in_part(node: str = "*") -> Behaviour:
    """Of the new revision, one function is not recorded."""
    missing = FunctionReport(function="tcp_sendmesg", state=State.FAILED, reason="FunctionNotFound", message=NO_FUNCTION)
    message = f"1 of 2 kernel functions is not recorded: {NO_FUNCTION}"
    return Behaviour(node, REVISION, reason="EnforcedInPart", message=message, functions=(missing,))


def until_soaking(running: Rig, step: int) -> Document:
    def soaks(status: Document) -> bool:
        rollout = status.get("rollout", {})
        return "soakStartedTime" in rollout and rollout["step"] == step

    return running.until("bookinfo", soaks)


def test_what_the_command_shows(running: Rig, agents: Agents, tmp_path: Path) -> None:
    stage = Stage("cli.md", tmp_path, running.cluster.environment)
    agents.behave([in_part()])
    running.apply("bookinfo", OLD, maxUnavailable="100%")
    running.until("bookinfo", lambda one: is_true(one, "Ready"))
    running.apply("bookinfo", NEW, maxUnavailable="25%", steps=STEPS)
    until_soaking(running, 1)
    running.request("bookinfo", "first", "Promote", 1)
    until_soaking(running, 2)
    stage.play("`clew status [POLICY | --node NODE]`")
    # No other node says anything from now on, so that the rollout stands still between the commands.
    updated = [node for node, revision in running.told("bookinfo").items() if revision == REVISION]
    agents.behave([*(in_part(node) for node in updated), Behaviour(state=None)])
    stage.play("`clew promote | abort | retry POLICY`")
    stage.play("`clew check FILE…`")
    stage.play("`clew decode ID…`")
    stage.end()
