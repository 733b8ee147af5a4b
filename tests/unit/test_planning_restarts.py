"""What an operator finds when it begins: a status, a part of what its predecessor wrote, or nothing."""

from dataclasses import replace

import pytest
from clew_operator.planning.plan import plan

from tests.unit.planning_world import THREE_STEPS, Cluster


def test_a_lost_status_is_made_anew_from_what_nodes_have() -> None:
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


def test_a_lost_status_of_a_policy_that_is_everywhere_is_ready_at_once() -> None:
    cluster = Cluster(nodes=5)
    cluster.apply("shop", rollout={"steps": THREE_STEPS})
    cluster.roll_out("shop")
    cluster.statuses.clear()
    cluster.looks()
    assert cluster.conditions("shop")["Ready"] == "True"


def test_unknown_revisions_go_at_the_pace_of_max_unavailable() -> None:
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


@pytest.mark.parametrize("written", ["statuses", "nodes"])
def test_a_failure_is_not_forgotten(written: str) -> None:
    cluster = Cluster(nodes=4)
    stable = cluster.apply("shop", rollout={"maxUnavailable": "2"})
    cluster.roll_out("shop")
    newest = cluster.apply("shop", size=2)
    cluster.looks()
    cluster.fail(cluster.having("shop", newest)[0])
    planned = plan(cluster.world())
    cluster.carry_out(replace(planned, statuses={}) if written == "nodes" else replace(planned, assignments={}))
    cluster.looks()
    assert cluster.statuses["shop"].rollout.failed_revision == newest
    assert len(cluster.having("shop", stable)) == 4
