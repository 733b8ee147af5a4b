"""``status -o json``: documents for programs, whole."""

import json

from clew_cli.seen import SeenPolicy
from clew_cli.status_document import node_document, policy_document
from clew_crds.node import NodeTracing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import made_status
from tests.unit.made_status import BEGAN, NEW, OLD, node, report, soaking


def test_a_policy() -> None:
    lacking = {"function": "tcp_sendmsgg", "state": "Failed", "reason": "FunctionNotFound", "message": "near names: tcp_sendmsg"}
    nodes = [
        node("n2", {"shop": NEW}, [report("Ready", functions=[lacking])]),
        node("n1", {"shop": NEW}, [report("Unsupported", message="no BTF")]),
        node("n3", {"shop": OLD}),
    ]
    document = policy_document(soaking(), nodes)
    assert document.pop("status")["rollout"]["soakStartedTime"] == BEGAN
    assert document == {
        "name": "shop",
        "generation": 3,
        "verdict": "Rolling out",
        "steps": [
            {"step": 1, "nodes": "1", "target": 1, "healthy": 1, "soak": "2m", "progress": "Done"},
            {
                "step": 2,
                "nodes": "25%",
                "target": 3,
                "healthy": 3,
                "soak": "5m",
                "progress": "Soaking",
                "until": "2026-11-25T10:05:00Z",
            },
            {"step": 3, "nodes": "100%", "target": 12, "healthy": 3, "soak": "0s", "progress": "Waiting"},
        ],
        "places": [
            {"revision": NEW, "state": "Ready", "nodes": ["n2"]},
            {"revision": NEW, "state": "Unsupported", "nodes": ["n1"]},
            {"revision": OLD, "state": "Silent", "nodes": ["n3"]},
        ],
        "notEnforced": [{"state": "Unsupported", "reason": "Unsupported", "message": "no BTF", "nodes": ["n1"]}],
        "notRecorded": [{**lacking, "nodes": ["n2"]}],
    }


def test_a_node() -> None:
    of = node("n1", {"shop": NEW, "other": OLD}, [report("Ready", pods=3)], agentVersion="0.2.0", observedGeneration=1)
    assert node_document(of) == {
        "name": "n1",
        "generation": 1,
        "observedGeneration": 1,
        "agentVersion": "0.2.0",
        "kernel": {"release": "", "propagation": "", "message": ""},
        "policies": [
            {"name": "shop", "revision": NEW, "state": "Ready", "reason": "Ready", "message": "", "pods": 3, "functions": []},
            {"name": "other", "revision": OLD, "state": "Silent"},
        ],
        "overhead": {"cpuMillicores": 0, "memoryMiB": 0},
        "losses": [],
    }


def test_an_old_answer_to_a_revision_that_is_told_again_is_not_shown_as_one() -> None:
    behind = node("n1", {"shop": NEW}, [report("Ready")], generation=3, observedGeneration=1)
    assert policy_document(soaking(), [behind])["places"] == [{"revision": NEW, "state": "Silent", "nodes": ["n1"]}]
    assert node_document(behind)["policies"] == [{"name": "shop", "revision": NEW, "state": "Silent"}]


@settings(max_examples=60, deadline=None)
@given(made_status.policies, st.lists(made_status.nodes, max_size=2))
def test_every_status_can_be_written_as_json(policy: SeenPolicy, nodes: list[NodeTracing]) -> None:
    assert json.loads(json.dumps(policy_document(policy, nodes)))["name"] == policy.metadata.name
    for one in nodes:
        assert json.loads(json.dumps(node_document(one)))["name"] == one.metadata.name
