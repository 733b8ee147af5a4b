"""The rollout of one policy where nothing fails: steps, soak, maxUnavailable, and nodes that cannot."""

import pytest
from clew_operator.planning.order import ordered

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


@pytest.mark.parametrize(("steps", "said"), [([{"nodes": "100%"}], "1 step"), (THREE_STEPS, "3 steps")])
def test_the_first_event_says_how_many_steps_there_are(cluster: Cluster, steps: list[dict[str, str]], said: str) -> None:
    revision = cluster.apply("shop", rollout={"steps": steps})
    cluster.looks()
    assert cluster.take_events() == [("RolloutStarted", f"{revision} goes out in {said}")]


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


@pytest.mark.parametrize("seen", range(16))
def test_a_replica_that_has_seen_only_some_writes_of_another_tells_no_further_node(seen: int) -> None:
    cluster = Cluster()
    for number in range(12):
        cluster.add_node(f"n{number}", zone="abc"[number % 3], kernel=("6.1", "6.12")[number // 3 % 2])
    revision = cluster.apply("shop", rollout={"maxUnavailable": "4"})
    cluster.look()
    before = dict(cluster.tracings)
    cluster.look()
    told = cluster.having("shop", revision)
    assert len(told) == 4
    for bit, name in enumerate(told):
        if not seen >> bit & 1:
            cluster.tracings[name] = before[name]
    cluster.look()
    assert cluster.having("shop", revision) == told


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
