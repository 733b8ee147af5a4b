"""The rollout of one policy: steps, soak, maxUnavailable, and what a status says on the way."""

import pytest

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
        f"step 1 of 1: 0 of 10 nodes ready, waiting for {revision} to be made until 2026-11-25T10:10:00Z"
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
