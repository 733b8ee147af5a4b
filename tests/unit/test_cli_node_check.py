"""``check --node``: what is known of a policy on a node, and what is not."""

from typing import Any

import pytest
from clew_cli.node_check import Answer, Finding, check_on_node
from clew_crds import TracingPolicy
from clew_crds.revision import TracingRevision

from tests.unit.made_status import NEW, OLD, node, report

API = {"apiVersion": "clew.dev/v1alpha1"}


def wish(*functions: str, **spec: Any) -> TracingPolicy:
    asked = {"namespaces": ["shop"], "kernelFunctions": [{"function": name} for name in functions], **spec}
    return TracingPolicy.model_validate({**API, "kind": "TracingPolicy", "metadata": {"name": "new"}, "spec": asked})


def revision(name: str, *functions: str) -> TracingRevision:
    enforced = {"namespaces": ["shop"], "kernelFunctions": [{"function": one} for one in functions]}
    spec = {"policy": "shop", "enforced": enforced}
    return TracingRevision.model_validate({**API, "kind": "TracingRevision", "metadata": {"name": name}, "spec": spec})


def test_functions() -> None:
    refused = {"function": "tcp_sendmsgg", "state": "Failed", "reason": "FunctionNotFound", "message": "near names:\ntcp_sendmsg"}
    quiet = {"function": "do_exit", "state": "Unsupported", "reason": "Blocklisted"}
    of = node("n1", {"shop": NEW}, [report("Ready", functions=[refused, quiet])], agentVersion="0.2.0", kernel={"release": "6.1.0-40"})
    known = {NEW: revision(NEW, "tcp_connect", "tcp_sendmsgg", "do_exit")}
    policy = wish("tcp_sendmsgg", "do_exit", "tcp_connect", "vfs_read", propagation={"inject": []})
    assert check_on_node(policy, of, known) == (
        Finding("kernel", Answer.FACT, "6.1.0-40, agent 0.2.0"),
        Finding("tcp_sendmsgg", Answer.NO, "Failed as shop asks for it: FunctionNotFound: near names: tcp_sendmsg"),
        Finding("do_exit", Answer.NO, "Unsupported as shop asks for it: Blocklisted"),
        Finding("tcp_connect", Answer.YES, "recorded there now for shop"),
        Finding("vfs_read", Answer.NOT_KNOWN, "no policy has asked for it there; the agent says when one does"),
    )


@pytest.mark.parametrize(
    "reports",
    [[], [report("Failed")], [report("Pending")], [report("Ready", OLD)]],
    ids=["silent", "failed", "pending", "other revision"],
)
def test_only_a_policy_that_is_enforced_shows_that_its_functions_are_recorded(reports: list[dict[str, Any]]) -> None:
    of = node("n1", {"shop": NEW}, reports, kernel={"release": "6.1.0-40"})
    assert check_on_node(wish("tcp_connect"), of, {NEW: revision(NEW, "tcp_connect")})[-1].answer is Answer.NOT_KNOWN


@pytest.mark.parametrize(
    ("kernel", "finding"),
    [
        ({}, Finding("propagation", Answer.NOT_KNOWN, "the agent has not said whether it is on")),
        ({"propagation": "On"}, Finding("propagation", Answer.YES, "on")),
        ({"propagation": "Off"}, Finding("propagation", Answer.NO, "off, so no headers are written there: the agent does not say why")),
        (
            {"propagation": "Off", "message": "why"},
            Finding("propagation", Answer.NO, "off, so no headers are written there: why"),
        ),
    ],
)
def test_propagation(kernel: dict[str, str], finding: Finding) -> None:
    assert check_on_node(wish(), node("n1", kernel=kernel), {})[1:] == (finding,)


def test_a_node_whose_agent_never_spoke() -> None:
    assert check_on_node(wish(), node("n1"), {})[0] == Finding("kernel", Answer.NOT_KNOWN, "no agent has spoken on this node yet")


def test_a_set_is_looked_at_function_by_function() -> None:
    policy = wish(kernelFunctions=[{"set": "processes"}])
    assert [one.subject for one in check_on_node(policy, node("n1"), {})] == ["kernel", "propagation", "kernel_clone", "do_wait"]
