"""``status --node``: whole outlines, word by word."""

import pytest
from clew_cli.outline import draw
from clew_cli.status_node import node_item
from clew_cli.terminal import Tone, clean
from clew_crds.node import NodeTracing
from hypothesis import given, settings

from tests.unit import made_status
from tests.unit.made_status import NEW, OLD, node, report


def drawn(of: NodeTracing) -> str:
    return "\n".join(draw([node_item(of)]))


def test_a_node_with_everything() -> None:
    lacking = {"function": "tcp_sendmsgg", "state": "Failed", "reason": "FunctionNotFound", "message": "near names: tcp_sendmsg"}
    other = report("Failed", OLD, reason="LoadFailed", message="the verifier refuses it", name="other")
    busy = node(
        "n7",
        {"shop": NEW, "other": OLD, "third": "third-0123456789"},
        [report("Ready", pods=3, functions=[lacking], message="enforced"), other],
        observedGeneration=1,
        agentVersion="0.2.0",
        kernel={"release": "6.12.107+deb13-amd64", "propagation": "Off", "message": "FIONREAD cannot be corrected"},
        overhead={"cpuMillicores": 12, "memoryMiB": 38},
        losses=[{"name": "ring_full", "count": 17}, {"name": "connections_full", "count": 2}],
    )
    assert (
        drawn(busy)
        == """\
n7  Policies: 1 Ready, 1 Failed, 1 Silent
├ policies
│ ├ shop   Ready (Ready) with shop-6f9c2d41aa, 3 pods: enforced
│ │ └ tcp_sendmsgg  not recorded: Failed (FunctionNotFound): near names: tcp_sendmsg
│ ├ other  Failed (LoadFailed) with shop-19d2b7c003, 0 pods: the verifier refuses it
│ └ third  Silent: told third-0123456789, the agent has not said anything of it
├ agent        0.2.0
├ kernel       6.12.107+deb13-amd64
├ propagation  Off: FIONREAD cannot be corrected
├ losses
│ ├ ring_full         17
│ └ connections_full  2
└ overhead     12 millicores, 38 MiB"""
    )


def test_a_node_without_policies() -> None:
    assert (
        drawn(node("n1", observedGeneration=1, agentVersion="0.2.0", kernel={"propagation": "On"}))
        == """\
n1  No policies
├ policies     none shall be enforced here
├ agent        0.2.0
├ kernel       not known: the agent has not said
├ propagation  On
├ losses       none
└ overhead     0 millicores, 0 MiB"""
    )


def test_a_node_whose_agent_never_spoke() -> None:
    assert (
        drawn(node("n1", {"shop": NEW}))
        == """\
n1  No status: no agent has spoken on this node. Does it run there?
└ policies
  └ shop  Silent: told shop-6f9c2d41aa, the agent has not said anything of it"""
    )


@pytest.mark.parametrize(
    ("states", "tone"),
    [("Ready", Tone.GOOD), ("Pending", Tone.BUSY), ("Unsupported", Tone.WARNING), ("Failed", Tone.BAD)],
)
def test_the_worst_state_colours_the_node(states: str, tone: Tone) -> None:
    reports = [report("Ready", name="other"), report(states)]
    item = node_item(node("n1", {"shop": NEW, "other": NEW}, reports, observedGeneration=1))
    assert item.tone is tone


def test_an_agent_that_is_behind() -> None:
    item = node_item(node("n1", {"shop": NEW}, [report("Ready")], generation=2, observedGeneration=1))
    assert item.text == "The agent has not taken up the newest assignment yet"


@settings(max_examples=60, deadline=None)
@given(made_status.nodes)
def test_any_status_is_drawn_and_nothing_in_it_steers_the_terminal(of: NodeTracing) -> None:
    for line in draw([node_item(of)]):
        assert line == clean(line)
