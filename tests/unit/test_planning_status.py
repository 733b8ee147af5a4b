"""What a status says: conditions, times of transition, bounds and overlaps."""

import json

import pytest
from clew_crds.observed import Condition, Truth
from clew_operator.planning.conditions import Standing, Verdict, conditions

from tests.unit.planning_world import THREE_STEPS, Cluster


def test_a_time_of_transition_changes_with_the_status_of_the_condition_alone() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply("shop", rollout={"maxUnavailable": "1"})
    cluster.looks()
    assert cluster.times("shop") == {"Ready": "10:00:00", "Reconciling": "10:00:00", "Stalled": "10:00:00"}
    cluster.wait(minutes=1)
    cluster.answer()
    cluster.looks()
    assert cluster.times("shop") == {"Ready": "10:00:00", "Reconciling": "10:00:00", "Stalled": "10:00:00"}
    cluster.wait(minutes=1)
    cluster.answer()
    cluster.looks()
    assert cluster.times("shop") == {"Ready": "10:02:00", "Reconciling": "10:02:00", "Stalled": "10:00:00"}


@pytest.mark.parametrize("standing", list(Standing))
def test_one_condition_is_true_and_ready_says_why_it_is_not(standing: Standing) -> None:
    found = conditions(Verdict(standing, "Why", "because"), 7, (), "2026-11-25T10:00:00Z")
    assert [condition.type for condition in found] == ["Ready", "Reconciling", "Stalled"]
    assert [condition.type for condition in found if condition.status == "True"] == [standing]
    assert [condition.message for condition in found if condition.type in ("Ready", standing)].count("because") == (
        1 if standing is Standing.READY else 2
    )
    assert {(condition.observed_generation, condition.reason) for condition in found} == {(7, "Why")}


def test_conditions_of_unknown_types_are_not_kept() -> None:
    old = Condition(type="Other", status=Truth.TRUE, last_transition_time="2026-11-25T09:00:00Z", reason="Old")
    assert len(conditions(Verdict(Standing.READY, "RolledOut", ""), 1, (old,), "2026-11-25T10:00:00Z")) == 3


def test_the_status_of_ten_thousand_nodes_is_small() -> None:
    cluster = Cluster()
    for number in range(10_000):
        cluster.add_node(f"ip-10-{number // 256}-{number % 256}.eu-central-1.compute.internal", zone=f"zone-{number % 3}")
    cluster.apply("shop", rollout={"maxUnavailable": "100%", "steps": THREE_STEPS[1:], "onFailure": "Pause"})
    cluster.overlaps["shop"] = frozenset(f"another-policy-with-a-long-name-{number}" for number in range(100))
    cluster.look()
    cluster.look()
    told = list(cluster.told("shop"))
    assert len(told) == 3_000
    cluster.answer(
        *told, state="Failed", reason="FunctionNotFound", message="no kernel function tcp_sendmsgg; near: " + "tcp_sendmsg, " * 70
    )
    cluster.look()
    status = cluster.statuses["shop"]
    assert (status.nodes.failed, len(status.failures), len(status.overlaps)) == (3_000, 5, 8)
    assert len(json.dumps(status.document()).encode()) < 4096


def test_overlapping_policies_are_named_and_the_first_name_rules() -> None:
    cluster = Cluster(nodes=1)
    cluster.apply("shop")
    cluster.overlaps["shop"] = frozenset({"alpha", "zeta", "shop"})
    cluster.look()
    assert [overlap.document() for overlap in cluster.statuses["shop"].overlaps] == [
        {"policy": "alpha", "rules": True},
        {"policy": "zeta", "rules": False},
    ]


def test_the_longest_names_and_messages_fit() -> None:
    cluster = Cluster()
    for number in range(5):
        cluster.add_node(f"{'n' * 252}{number}")
    policy = "p" * 63
    cluster.apply(policy, rollout={"maxUnavailable": "100%"})
    cluster.roll_out(policy)
    cluster.apply(policy, size=2)
    cluster.looks()
    cluster.answer(state="Failed", reason="R" * 128, message="\U0001f9f5" * 1024)
    cluster.looks()
    status = cluster.statuses[policy]
    assert status.message.endswith(f"; edit the policy, or run `kubectl clew retry {policy}`")
    assert len(status.failures) == 5
    assert len(json.dumps(status.document(), ensure_ascii=False).encode()) < 10_000
