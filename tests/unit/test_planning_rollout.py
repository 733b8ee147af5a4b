"""The rollout of one policy where nothing fails: steps, soak, maxUnavailable, nodes that come, go and turn, edits on the way."""

import pytest
from clew_operator.planning.order import ordered
from clew_operator.planning.plan import plan

from tests.unit.planning_world import THREE_STEPS, Cluster


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(nodes=10)


def test_a_revision_is_made_before_any_node_is_told(cluster: Cluster) -> None:
    revision = cluster.apply("shop")
    planned = cluster.look()
    assert [one.metadata.name for one in planned.create_revisions] == [revision]
    assert planned.assignments == {f"n{number}": () for number in range(1, 11)}
    assert cluster.statuses["shop"].message == (
        f"step 1 of 1: 0 of 10 nodes ready, waiting for {revision} to be made, until 2026-11-25T10:10:00Z at most"
    )


def test_steps_grow_each_after_its_soak(cluster: Cluster) -> None:
    revision = cluster.apply("shop", rollout={"steps": THREE_STEPS, "maxUnavailable": "100%"})
    sizes = []
    for _ in range(3):
        cluster.looks()
        sizes.append(len(cluster.having("shop", revision)))
        cluster.answer()
        soaking = cluster.looks()
        if soaking.wake:
            assert len(cluster.having("shop", revision)) == sizes[-1]
            cluster.now = soaking.wake
    assert sizes == [1, 3, 10]
    assert cluster.conditions("shop") == {"Ready": "True", "Reconciling": "False", "Stalled": "False"}
    assert cluster.statuses["shop"].stable_revision == revision
    assert cluster.statuses["shop"].message == "10 of 10 nodes ready"
    assert [reason for reason, _ in cluster.take_events()] == ["RolloutStarted", "StepStarted", "StepStarted", "RolledOut"]


def test_a_soak_is_neither_cut_short_nor_drawn_out(cluster: Cluster) -> None:
    revision = cluster.apply("shop", rollout={"steps": THREE_STEPS, "maxUnavailable": "100%"})
    cluster.looks()
    cluster.wait(seconds=30)
    cluster.answer()
    cluster.looks()
    assert cluster.statuses["shop"].message == "step 1 of 3: 1 of 1 node ready, soaking until 2026-11-25T10:02:30Z"
    cluster.wait(seconds=119)
    cluster.looks()
    assert len(cluster.having("shop", revision)) == 1
    cluster.wait(seconds=1)
    cluster.looks()
    assert len(cluster.having("shop", revision)) == 3


def test_no_more_than_max_unavailable_change_at_one_time(cluster: Cluster) -> None:
    revision = cluster.apply("shop", rollout={"maxUnavailable": "3"})
    cluster.looks()
    assert len(cluster.having("shop", revision)) == 3
    cluster.answer(*cluster.having("shop", revision)[:2])
    cluster.looks()
    assert len(cluster.having("shop", revision)) == 5
    assert (cluster.statuses["shop"].nodes.ready, cluster.statuses["shop"].nodes.silent) == (2, 3)


def test_nodes_are_told_in_the_order_of_the_rollout(cluster: Cluster) -> None:
    cluster.apply("shop", rollout={"maxUnavailable": "3"})
    cluster.looks()
    assert set(cluster.told("shop")) == set(ordered(cluster.nodes.values(), frozenset(), "shop")[:3])


def test_a_steady_state_writes_nothing_however_long_it_lasts(cluster: Cluster) -> None:
    cluster.apply("shop")
    cluster.roll_out("shop")
    before = cluster.snapshot()
    cluster.wait(hours=30)
    planned = cluster.look()
    assert cluster.snapshot() == before
    assert (planned.events, planned.wake) == ((), None)


def test_a_waiting_rollout_writes_nothing_until_its_deadline(cluster: Cluster) -> None:
    cluster.apply("shop")
    cluster.looks()
    before = cluster.snapshot()
    cluster.wait(minutes=9, seconds=59)
    planned = cluster.look()
    assert cluster.snapshot() == before
    assert planned.wake is not None
    assert (planned.wake - cluster.now).total_seconds() == 1


def test_a_policy_without_nodes_is_ready_and_has_proved_nothing() -> None:
    cluster = Cluster()
    cluster.apply("shop", rollout={"steps": THREE_STEPS})
    assert cluster.looks().wake is None
    assert (cluster.conditions("shop")["Ready"], cluster.reason("shop")) == ("True", "NoNodes")
    assert cluster.statuses["shop"].stable_revision is None
    cluster.wait(hours=1)
    cluster.add_node("n1")
    cluster.add_node("n2")
    cluster.looks()
    assert len(cluster.told("shop")) == 1
    assert cluster.statuses["shop"].message == "step 1 of 3: 0 of 1 node ready, waiting for n2 (silent), until 2026-11-25T11:10:00Z at most"


def test_unsupported_nodes_hold_nothing_up_and_prove_nothing(cluster: Cluster) -> None:
    revision = cluster.apply("shop", rollout={"steps": THREE_STEPS, "maxUnavailable": "1"})
    cluster.looks()
    (first,) = cluster.having("shop", revision)
    cluster.answer(first, state="Unsupported", reason="NoBTF", message="the kernel has no BTF")
    cluster.looks()
    second = [name for name in cluster.having("shop", revision) if name != first]
    assert len(second) == 1
    cluster.answer(*second)
    cluster.looks()
    assert cluster.statuses["shop"].message == "step 1 of 3: 1 of 1 node ready, 1 unsupported, soaking until 2026-11-25T10:02:00Z"


def test_where_every_node_is_unsupported_the_policy_is_ready_and_says_so(cluster: Cluster) -> None:
    cluster.apply("shop", rollout={"maxUnavailable": "100%"})
    cluster.looks()
    cluster.answer(state="Unsupported", reason="NoBTF")
    cluster.looks()
    assert cluster.conditions("shop")["Ready"] == "True"
    assert cluster.statuses["shop"].message == "0 of 10 nodes ready, 10 unsupported"


class TestNodes:
    """Nodes that come, go and turn NotReady."""

    def test_a_node_that_is_not_ready_is_passed_over_and_gets_its_turn_when_it_is_back(self) -> None:
        cluster = Cluster(nodes=3)
        cluster.set_ready("n1", False)
        cluster.apply("shop", rollout={"maxUnavailable": "100%"})
        cluster.looks()
        assert sorted(cluster.told("shop")) == ["n2", "n3"]
        cluster.answer()
        cluster.looks()
        assert cluster.conditions("shop")["Ready"] == "True"
        assert cluster.statuses["shop"].message == "2 of 3 nodes ready, 1 NotReady"
        cluster.set_ready("n1", True)
        cluster.looks()
        assert sorted(cluster.told("shop")) == ["n1", "n2", "n3"]
        assert (cluster.reason("shop"), cluster.conditions("shop")["Reconciling"]) == ("CatchingUp", "True")
        cluster.answer("n1")
        cluster.looks()
        assert cluster.statuses["shop"].message == "3 of 3 nodes ready"

    def test_a_node_that_goes_not_ready_before_it_answers_holds_the_step(self) -> None:
        cluster = Cluster(nodes=3)
        revision = cluster.apply("shop", rollout={"steps": [{"nodes": "1"}, {"nodes": "100%"}], "maxUnavailable": "100%"})
        cluster.looks()
        (first,) = cluster.having("shop", revision)
        cluster.set_ready(first, False)
        cluster.looks()
        assert cluster.having("shop", revision) == [first]
        assert f"waiting for {first} (NotReady)" in cluster.statuses["shop"].message

    def test_a_node_that_goes_not_ready_in_the_soak_makes_it_begin_anew(self) -> None:
        cluster = Cluster(nodes=3)
        revision = cluster.apply("shop", rollout={"steps": [{"nodes": "1", "soak": "2m"}, {"nodes": "100%"}]})
        cluster.looks()
        (first,) = cluster.having("shop", revision)
        cluster.answer(first)
        cluster.looks()
        cluster.wait(minutes=1)
        cluster.set_ready(first, False)
        cluster.looks()
        assert cluster.statuses["shop"].message == (
            f"step 1 of 2: 1 of 1 node ready, waiting for {first} (NotReady), until 2026-11-25T10:11:00Z at most"
        )
        cluster.wait(minutes=5)
        cluster.set_ready(first, True)
        cluster.looks()
        assert cluster.statuses["shop"].message == "step 1 of 2: 1 of 1 node ready, soaking until 2026-11-25T10:08:00Z"

    def test_a_node_that_goes_leaves_the_counts_and_makes_room(self) -> None:
        cluster = Cluster(nodes=3)
        revision = cluster.apply("shop", rollout={"maxUnavailable": "1"})
        cluster.looks()
        cluster.remove_node(cluster.having("shop", revision)[0])
        cluster.looks()
        assert len(cluster.having("shop", revision)) == 1
        assert cluster.statuses["shop"].nodes.desired == 2

    def test_a_node_that_joins_in_a_rollout_waits_with_the_stable_revision(self) -> None:
        cluster = Cluster(nodes=3)
        stable = cluster.apply("shop", rollout={"steps": [{"nodes": "1", "soak": "1h"}, {"nodes": "100%"}], "maxUnavailable": "100%"})
        cluster.roll_out("shop")
        newest = cluster.apply("shop", size=2)
        cluster.looks()
        cluster.add_node("n4")
        cluster.looks()
        assert len(cluster.having("shop", newest)) == 1
        assert "n4" in cluster.having("shop", stable)

    def test_nodes_that_join_later_get_the_stable_revision_at_the_pace_of_max_unavailable(self) -> None:
        cluster = Cluster(nodes=1)
        revision = cluster.apply("shop", rollout={"maxUnavailable": "2"})
        cluster.roll_out("shop")
        for number in range(2, 7):
            cluster.add_node(f"n{number}")
        cluster.looks()
        assert cluster.having("shop", revision) == ["n1", "n2", "n3"]
        assert cluster.take_events()[-1][0] == "RolledOut"


class TestEdits:
    """Edits in the middle of a rollout."""

    def cluster(self) -> tuple[Cluster, str, str]:
        """Six nodes on a stable revision, of which half have a newer one."""
        cluster = Cluster(nodes=6)
        stable = cluster.apply("shop", rollout={"steps": [{"nodes": "50%", "soak": "1h"}, {"nodes": "100%"}], "maxUnavailable": "100%"})
        cluster.roll_out("shop")
        second = cluster.apply("shop", size=2)
        cluster.looks()
        cluster.answer()
        cluster.looks()
        assert (len(cluster.having("shop", stable)), len(cluster.having("shop", second))) == (3, 3)
        cluster.take_events()
        return cluster, stable, second

    def test_another_revision_begins_at_the_first_step_and_the_abandoned_one_goes(self) -> None:
        cluster, stable, second = self.cluster()
        third = cluster.apply("shop", size=3)
        cluster.looks()
        assert (len(cluster.having("shop", stable)), len(cluster.having("shop", second)), len(cluster.having("shop", third))) == (3, 0, 3)
        assert cluster.statuses["shop"].step == "1/2"

    def test_an_edit_back_to_the_stable_revision_needs_no_steps(self) -> None:
        cluster, stable, _ = self.cluster()
        cluster.apply("shop", size=1)
        cluster.looks()
        assert len(cluster.having("shop", stable)) == 6
        assert (cluster.reason("shop"), cluster.statuses["shop"].step) == ("CatchingUp", "2/2")
        cluster.answer()
        cluster.looks()
        assert cluster.conditions("shop")["Ready"] == "True"
        assert cluster.take_events() == [("RolloutStarted", f"all nodes go back to {stable}, which is stable")]

    def test_going_back_is_paced_by_max_unavailable_and_reaches_nodes_that_are_not_ready(self) -> None:
        cluster, stable, second = self.cluster()
        down = cluster.having("shop", second)[0]
        cluster.set_ready(down, False)
        cluster.apply("shop", size=1, rollout={"maxUnavailable": "1"})
        for left in (2, 1):
            cluster.looks()
            assert len(cluster.having("shop", second)) == left
            cluster.answer(*cluster.silent())
        cluster.looks()
        assert len(cluster.having("shop", stable)) == 6
        assert cluster.silent() == [down]
        assert cluster.conditions("shop")["Ready"] == "True"

    def test_an_edit_of_the_rollout_alone_goes_on_where_it_is(self) -> None:
        cluster, _, second = self.cluster()
        cluster.apply("shop", size=2, rollout={"maxUnavailable": "100%"})
        cluster.looks()
        assert len(cluster.having("shop", second)) == 6
        assert cluster.statuses["shop"].step == "1/1"
        assert cluster.statuses["shop"].observed_generation == 3

    def test_more_steps_for_a_rollout_that_is_beyond_the_first_wait_for_them(self) -> None:
        cluster, _, second = self.cluster()
        cluster.apply("shop", size=2, rollout={"steps": THREE_STEPS, "maxUnavailable": "100%"})
        cluster.looks()
        assert len(cluster.having("shop", second)) == 3
        assert cluster.statuses["shop"].message == "step 1 of 3: 3 of 3 nodes ready, soaking until 2026-11-25T11:02:00Z"

    def test_a_deleted_policy_goes_from_every_node_at_once(self) -> None:
        cluster, _, _ = self.cluster()
        cluster.delete("shop")
        planned = cluster.look()
        assert cluster.told("shop") == {}
        assert planned.statuses == {}

    def test_a_policy_that_is_being_deleted_is_deleted(self) -> None:
        cluster, _, _ = self.cluster()
        policy = cluster.policies["shop"]
        metadata = policy.metadata.model_copy(update={"deletion_timestamp": "2026-11-25T11:00:00Z"})
        cluster.policies["shop"] = policy.model_copy(update={"metadata": metadata})
        planned = plan(cluster.world())
        assert (set(planned.assignments.values()), planned.statuses) == ({()}, {})

    def test_a_policy_that_was_deleted_and_made_again_begins_anew(self) -> None:
        cluster, _, _ = self.cluster()
        cluster.delete("shop")
        again = cluster.apply("shop", rollout={"steps": THREE_STEPS, "maxUnavailable": "100%"})
        cluster.looks()
        assert list(cluster.told("shop").values()) == [again]
        assert cluster.statuses["shop"].step == "1/3"


class TestPause:
    """``spec.rollout.paused``."""

    def test_nothing_new_is_told_and_what_is_told_stays(self) -> None:
        cluster = Cluster(nodes=4)
        rollout = {"maxUnavailable": "2", "progressDeadline": "1m"}
        revision = cluster.apply("shop", rollout=rollout)
        cluster.looks()
        told = cluster.having("shop", revision)
        cluster.answer()
        cluster.apply("shop", rollout={**rollout, "paused": True})
        cluster.looks()
        assert cluster.having("shop", revision) == told
        assert (cluster.reason("shop"), cluster.conditions("shop")["Reconciling"]) == ("Paused", "True")
        assert cluster.statuses["shop"].message == "paused at step 1 of 1: 2 of 4 nodes ready"
        cluster.wait(hours=5)
        assert cluster.looks().wake is None
        cluster.take_events()
        cluster.apply("shop", rollout=rollout)
        cluster.looks()
        assert len(cluster.having("shop", revision)) == 4
        assert cluster.conditions("shop")["Stalled"] == "False"
        assert [reason for reason, _ in cluster.take_events()] == ["Resumed"]

    def test_the_soak_goes_on_and_the_next_step_waits(self) -> None:
        cluster = Cluster(nodes=4)
        rollout = {"steps": [{"nodes": "1", "soak": "2m"}, {"nodes": "100%"}], "maxUnavailable": "100%"}
        revision = cluster.apply("shop", rollout=rollout)
        cluster.looks()
        cluster.answer()
        cluster.looks()
        cluster.apply("shop", rollout={**rollout, "paused": True})
        cluster.wait(minutes=3)
        cluster.looks()
        assert len(cluster.having("shop", revision)) == 1
        cluster.apply("shop", rollout=rollout)
        cluster.looks()
        assert len(cluster.having("shop", revision)) == 4

    def test_a_stable_policy_that_is_paused_is_ready(self) -> None:
        cluster = Cluster(nodes=2)
        cluster.apply("shop")
        cluster.roll_out("shop")
        cluster.apply("shop", rollout={"paused": True})
        cluster.looks()
        assert cluster.conditions("shop")["Ready"] == "True"
        cluster.add_node("n3")
        cluster.looks()
        assert sorted(cluster.told("shop")) == ["n1", "n2"]
        assert cluster.statuses["shop"].message == "paused: 2 of 3 nodes ready"


class TestMemory:
    """What the operator finds when it begins."""

    def test_a_lost_status_is_made_anew_from_what_nodes_have(self) -> None:
        cluster = Cluster(nodes=10)
        revision = cluster.apply("shop", rollout={"steps": [{"nodes": "1"}, {"nodes": "50%", "soak": "5m"}, {"nodes": "100%"}]})
        for _ in range(30):
            cluster.look()
            if len(cluster.having("shop", revision)) == 5:
                break
            cluster.answer()
        cluster.answer()
        cluster.statuses.clear()
        cluster.looks()
        assert cluster.statuses["shop"].message == "step 2 of 3: 5 of 5 nodes ready, soaking until 2026-11-25T10:05:00Z"

    def test_a_lost_status_of_a_policy_that_is_everywhere_is_ready_at_once(self) -> None:
        cluster = Cluster(nodes=5)
        cluster.apply("shop", rollout={"steps": THREE_STEPS})
        cluster.roll_out("shop")
        cluster.statuses.clear()
        cluster.looks()
        assert cluster.conditions("shop")["Ready"] == "True"

    def test_unknown_revisions_go_at_the_pace_of_max_unavailable(self) -> None:
        cluster = Cluster(nodes=4)
        old = cluster.apply("shop", rollout={"maxUnavailable": "1"})
        cluster.roll_out("shop")
        cluster.statuses.clear()
        del cluster.revisions[old]
        newest = cluster.apply("shop", size=2)
        for left in (3, 2, 1, 0):
            cluster.looks()
            assert (len(cluster.having("shop", newest)), len(cluster.having("shop", old))) == (4 - left, left)
            cluster.answer()
        cluster.looks()
        assert cluster.conditions("shop")["Ready"] == "True"
