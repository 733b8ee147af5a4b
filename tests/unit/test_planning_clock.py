"""A clock that is set back or forward."""

from tests.unit.planning_world import THREE_STEPS, Cluster


def soaking() -> tuple[Cluster, str]:
    cluster = Cluster(nodes=4)
    revision = cluster.apply("shop", rollout={"steps": [{"nodes": "1", "soak": "10m"}, {"nodes": "100%"}], "maxUnavailable": "100%"})
    cluster.looks()
    cluster.answer()
    cluster.looks()
    return cluster, revision


def test_no_soak_is_cut_short_by_a_clock_that_is_set_back() -> None:
    cluster, revision = soaking()
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


def test_times_that_are_still_to_come_become_now() -> None:
    cluster, _ = soaking()
    cluster.wait(hours=-3)
    cluster.looks()
    rollout = cluster.statuses["shop"].rollout
    assert (rollout.step_started_time, rollout.soak_started_time) == ("2026-11-25T07:00:00Z", "2026-11-25T07:00:00Z")
    assert set(cluster.times("shop").values()) == {"07:00:00"}


def test_a_deadline_counts_anew_after_a_clock_was_set_back() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply("shop")
    cluster.looks()
    cluster.wait(hours=-3)
    cluster.looks()
    assert cluster.statuses["shop"].message.endswith("until 2026-11-25T07:10:00Z at most")


def test_a_clock_that_is_set_forward_ends_in_a_rollback_never_in_a_step_without_answers() -> None:
    cluster = Cluster(nodes=4)
    revision = cluster.apply("shop", rollout={"steps": THREE_STEPS})
    cluster.looks()
    cluster.wait(hours=7)
    cluster.looks()
    assert cluster.reason("shop") == "ProgressDeadlineExceeded"
    assert cluster.having("shop", revision) == []
