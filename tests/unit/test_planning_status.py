"""What a status says: conditions, times, bounds, overlaps, and a clock that jumps."""

import json

import pytest
from clew_crds.observed import Condition
from clew_operator.planning.conditions import Standing, Verdict, conditions

from tests.unit.planning_world import THREE_STEPS, Cluster


def times(cluster: Cluster) -> dict[str, str]:
    return {condition.type: condition.last_transition_time[11:19] for condition in cluster.statuses["shop"].conditions}


def test_a_time_of_transition_changes_with_the_status_of_the_condition_alone() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply("shop", rollout={"maxUnavailable": "1"})
    cluster.looks()
    assert times(cluster) == {"Ready": "10:00:00", "Reconciling": "10:00:00", "Stalled": "10:00:00"}
    cluster.wait(minutes=1)
    cluster.answer()
    cluster.looks()
    assert times(cluster) == {"Ready": "10:00:00", "Reconciling": "10:00:00", "Stalled": "10:00:00"}
    cluster.wait(minutes=1)
    cluster.answer()
    cluster.looks()
    assert times(cluster) == {"Ready": "10:02:00", "Reconciling": "10:02:00", "Stalled": "10:00:00"}


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
    old = Condition(type="Other", status="True", last_transition_time="2026-11-25T09:00:00Z", reason="Old")
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


class TestSeveral:
    """Policies that share nodes."""

    def test_each_has_its_own_rollout_and_a_nodes_list_is_by_name(self) -> None:
        cluster = Cluster(nodes=4)
        cluster.apply("zeta", rollout={"maxUnavailable": "100%"})
        cluster.roll_out("zeta")
        alpha = cluster.apply("alpha", rollout={"steps": THREE_STEPS})
        cluster.looks()
        (first,) = cluster.having("alpha", alpha)
        assert [entry.name for entry in cluster.tracings[first].spec.policies] == ["alpha", "zeta"]
        assert cluster.conditions("zeta")["Ready"] == "True"
        cluster.report(first, {"alpha": ("Failed", "FunctionNotFound", "")})
        cluster.looks()
        assert (cluster.conditions("alpha")["Stalled"], cluster.conditions("zeta")["Ready"]) == ("True", "True")
        assert cluster.told("alpha") == {}
        assert len(cluster.told("zeta")) == 4

    def test_a_node_that_is_busy_with_another_policy_counts_against_max_unavailable(self) -> None:
        cluster = Cluster(nodes=4)
        rollout = {"maxUnavailable": "1"}
        cluster.apply("alpha", rollout=rollout)
        cluster.roll_out("alpha")
        cluster.apply("zeta", rollout=rollout)
        cluster.roll_out("zeta")
        alpha = cluster.apply("alpha", size=2)
        cluster.looks()
        zeta = cluster.apply("zeta", size=2)
        cluster.looks()
        (busy,) = cluster.having("alpha", alpha)
        assert cluster.having("zeta", zeta) == []
        assert f"waiting for {busy} (busy with another policy)" in cluster.statuses["zeta"].message
        cluster.roll_out("alpha")
        cluster.roll_out("zeta")

    def test_policies_begin_with_the_nodes_that_run_their_pods(self) -> None:
        cluster = Cluster(nodes=10)
        cluster.placements = {"alpha": frozenset({"n3"}), "zeta": frozenset({"n7"})}
        for name in ("alpha", "zeta"):
            cluster.apply(name, rollout={"steps": THREE_STEPS})
        cluster.looks()
        assert (list(cluster.told("alpha")), list(cluster.told("zeta"))) == (["n3"], ["n7"])

    def test_a_node_has_room_for_sixty_four_and_the_oldest_have_it(self) -> None:
        cluster = Cluster(nodes=1)
        for number in range(64):
            cluster.apply(f"policy-{number:02}")
        cluster.looks()
        cluster.wait(seconds=1)
        cluster.apply("a-late-one")
        cluster.looks()
        assert len(cluster.tracings["n1"].spec.policies) == 64
        assert cluster.told("a-late-one") == {}
        assert cluster.reason("a-late-one") == "TooManyPolicies"
        assert cluster.statuses["a-late-one"].message == (
            "a node has room for 64 policies, and there are as many older ones; delete one of them, or merge some"
        )
        cluster.delete("policy-07")
        cluster.looks()
        assert list(cluster.told("a-late-one")) == ["n1"]

    def test_what_nodes_have_of_a_policy_that_cannot_be_read_stays(self) -> None:
        cluster = Cluster(nodes=2)
        revision = cluster.apply("newer")
        cluster.apply("shop")
        cluster.roll_out("newer")
        del cluster.policies["newer"]
        cluster.unreadable = frozenset({"newer"})
        planned = cluster.look()
        assert cluster.having("newer", revision) == ["n1", "n2"]
        assert list(planned.statuses) == ["shop"]
        assert planned.delete_revisions == ()


class TestClock:
    """A clock that is set back or forward."""

    def soaking(self) -> tuple[Cluster, str]:
        cluster = Cluster(nodes=4)
        revision = cluster.apply("shop", rollout={"steps": [{"nodes": "1", "soak": "10m"}, {"nodes": "100%"}], "maxUnavailable": "100%"})
        cluster.looks()
        cluster.answer()
        cluster.looks()
        return cluster, revision

    def test_no_soak_is_cut_short_by_a_clock_that_is_set_back(self) -> None:
        cluster, revision = self.soaking()
        cluster.wait(minutes=5)
        cluster.wait(hours=-3)
        planned = cluster.looks()
        assert cluster.statuses["shop"].message == "step 1 of 2: 1 of 1 node ready, soaking until 2026-11-25T07:15:00Z"
        assert planned.wake is not None
        cluster.wait(minutes=9, seconds=59)
        cluster.looks()
        assert len(cluster.having("shop", revision)) == 1
        cluster.wait(seconds=1)
        cluster.looks()
        assert len(cluster.having("shop", revision)) == 4

    def test_times_that_are_still_to_come_become_now(self) -> None:
        cluster, _ = self.soaking()
        cluster.wait(hours=-3)
        cluster.looks()
        rollout = cluster.statuses["shop"].rollout
        assert (rollout.step_started_time, rollout.soak_started_time) == ("2026-11-25T07:00:00Z", "2026-11-25T07:00:00Z")
        assert set(times(cluster).values()) == {"07:00:00"}

    def test_a_deadline_counts_anew_after_a_clock_was_set_back(self) -> None:
        cluster = Cluster(nodes=2)
        cluster.apply("shop")
        cluster.looks()
        cluster.wait(hours=-3)
        cluster.looks()
        assert cluster.statuses["shop"].message.endswith("until 2026-11-25T07:10:00Z at most")

    def test_a_clock_that_is_set_forward_ends_in_a_rollback_never_in_a_step_without_answers(self) -> None:
        cluster = Cluster(nodes=4)
        revision = cluster.apply("shop", rollout={"steps": THREE_STEPS})
        cluster.looks()
        cluster.wait(hours=7)
        cluster.looks()
        assert cluster.reason("shop") == "ProgressDeadlineExceeded"
        assert cluster.having("shop", revision) == []
