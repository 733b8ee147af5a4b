"""A policy that is edited or deleted in the middle of its rollout."""

from clew_operator.planning.plan import plan

from tests.unit.planning_world import THREE_STEPS, Cluster


def half_way() -> tuple[Cluster, str, str]:
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


def test_another_revision_begins_at_the_first_step_and_the_abandoned_one_goes() -> None:
    cluster, stable, second = half_way()
    third = cluster.apply("shop", size=3)
    cluster.looks()
    assert (len(cluster.having("shop", stable)), len(cluster.having("shop", second)), len(cluster.having("shop", third))) == (3, 0, 3)
    assert cluster.statuses["shop"].step == "1/2"


def test_an_edit_back_to_the_stable_revision_needs_no_steps() -> None:
    cluster, stable, _ = half_way()
    cluster.apply("shop", size=1)
    cluster.looks()
    assert len(cluster.having("shop", stable)) == 6
    assert (cluster.reason("shop"), cluster.statuses["shop"].step) == ("CatchingUp", "2/2")
    cluster.answer()
    cluster.looks()
    assert cluster.conditions("shop")["Ready"] == "True"
    assert cluster.take_events() == [("RolloutStarted", f"all nodes go back to {stable}, which is stable")]


def test_going_back_is_paced_by_max_unavailable_and_reaches_nodes_that_are_not_ready() -> None:
    cluster, stable, second = half_way()
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


def test_an_edit_of_the_rollout_alone_goes_on_where_it_is() -> None:
    cluster, _, second = half_way()
    cluster.apply("shop", size=2, rollout={"maxUnavailable": "100%"})
    cluster.looks()
    assert len(cluster.having("shop", second)) == 6
    assert cluster.statuses["shop"].step == "1/1"
    assert cluster.statuses["shop"].observed_generation == 3


def test_more_steps_for_a_rollout_that_is_beyond_the_first_wait_for_them() -> None:
    cluster, _, second = half_way()
    cluster.apply("shop", size=2, rollout={"steps": THREE_STEPS, "maxUnavailable": "100%"})
    cluster.looks()
    assert len(cluster.having("shop", second)) == 3
    assert cluster.statuses["shop"].message == "step 1 of 3: 3 of 3 nodes ready, soaking until 2026-11-25T11:02:00Z"


def test_a_deleted_policy_goes_from_every_node_at_once() -> None:
    cluster, _, _ = half_way()
    cluster.delete("shop")
    planned = cluster.look()
    assert cluster.told("shop") == {}
    assert planned.statuses == {}


def test_a_policy_that_is_being_deleted_is_deleted() -> None:
    cluster, _, _ = half_way()
    policy = cluster.policies["shop"]
    metadata = policy.metadata.model_copy(update={"deletion_timestamp": "2026-11-25T11:00:00Z"})
    cluster.policies["shop"] = policy.model_copy(update={"metadata": metadata})
    planned = plan(cluster.world())
    assert (set(planned.assignments.values()), planned.statuses) == ({()}, {})


def test_a_policy_that_was_deleted_and_made_again_begins_anew() -> None:
    cluster, _, _ = half_way()
    cluster.delete("shop")
    again = cluster.apply("shop", rollout={"steps": THREE_STEPS, "maxUnavailable": "100%"})
    cluster.looks()
    assert list(cluster.told("shop").values()) == [again]
    assert cluster.statuses["shop"].step == "1/3"
