"""Nodes that come, go and turn NotReady, in a rollout and after it."""

from tests.unit.planning_world import Cluster


def test_a_node_that_is_not_ready_is_passed_over_and_gets_its_turn_when_it_is_back() -> None:
    cluster = Cluster(nodes=3)
    cluster.set_ready("n1", False)
    cluster.apply("shop", rollout={"maxUnavailable": "100%"})
    cluster.looks()
    assert sorted(cluster.told("shop")) == ["n2", "n3"]
    cluster.answer()
    cluster.looks()
    assert cluster.conditions("shop")["Ready"] == "True"
    assert sorted(cluster.told("shop")) == ["n2", "n3"]
    assert cluster.statuses["shop"].message == "2 of 3 nodes ready, 1 NotReady"
    cluster.set_ready("n1", True)
    cluster.looks()
    assert sorted(cluster.told("shop")) == ["n1", "n2", "n3"]
    assert (cluster.reason("shop"), cluster.conditions("shop")["Reconciling"]) == ("CatchingUp", "True")
    cluster.answer("n1")
    cluster.looks()
    assert cluster.statuses["shop"].message == "3 of 3 nodes ready"


def test_a_node_that_goes_not_ready_before_it_answers_holds_the_step() -> None:
    cluster = Cluster(nodes=3)
    revision = cluster.apply("shop", rollout={"steps": [{"nodes": "1"}, {"nodes": "100%"}], "maxUnavailable": "100%"})
    cluster.looks()
    (first,) = cluster.having("shop", revision)
    cluster.set_ready(first, False)
    cluster.looks()
    assert cluster.having("shop", revision) == [first]
    assert f"waiting for {first} (NotReady)" in cluster.statuses["shop"].message


def test_a_node_that_goes_not_ready_in_the_soak_makes_it_begin_anew() -> None:
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


def test_a_node_that_goes_leaves_the_counts_and_makes_room() -> None:
    cluster = Cluster(nodes=3)
    revision = cluster.apply("shop", rollout={"maxUnavailable": "1"})
    cluster.looks()
    cluster.remove_node(cluster.having("shop", revision)[0])
    cluster.looks()
    assert len(cluster.having("shop", revision)) == 1
    assert cluster.statuses["shop"].nodes.desired == 2


def test_a_node_that_joins_in_a_rollout_waits_with_the_stable_revision() -> None:
    cluster = Cluster(nodes=3)
    stable = cluster.apply("shop", rollout={"steps": [{"nodes": "1", "soak": "1h"}, {"nodes": "100%"}], "maxUnavailable": "100%"})
    cluster.roll_out("shop")
    newest = cluster.apply("shop", size=2)
    cluster.looks()
    cluster.add_node("n4")
    cluster.looks()
    assert len(cluster.having("shop", newest)) == 1
    assert "n4" in cluster.having("shop", stable)


def test_nodes_that_join_later_get_the_stable_revision_at_the_pace_of_max_unavailable() -> None:
    cluster = Cluster(nodes=1)
    revision = cluster.apply("shop", rollout={"maxUnavailable": "2"})
    cluster.roll_out("shop")
    for number in range(2, 7):
        cluster.add_node(f"n{number}")
    cluster.looks()
    assert cluster.having("shop", revision) == ["n1", "n2", "n3"]
    assert cluster.take_events()[-1][0] == "RolledOut"
