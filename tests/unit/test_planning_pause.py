"""``spec.rollout.paused``."""

from tests.unit.planning_world import Cluster


def test_nothing_new_is_told_and_what_is_told_stays() -> None:
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


def test_the_soak_goes_on_and_the_next_step_waits() -> None:
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


def test_a_stable_policy_that_is_paused_is_ready() -> None:
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
