"""A stable revision that a node cannot enforce, or does not answer for."""

from tests.unit.planning_world import NOT_FOUND, Cluster


def test_a_node_that_fails_later_stalls_the_policy_until_it_is_mended() -> None:
    cluster = Cluster(nodes=3)
    revision = cluster.apply("shop")
    cluster.roll_out("shop")
    cluster.take_events()
    cluster.fail("n2")
    cluster.looks()
    message = f"n2: FunctionNotFound: {NOT_FOUND}; 2 of 3 nodes ready; it is the stable revision: mend the node, or edit the policy"
    assert cluster.statuses["shop"].message == message
    assert cluster.conditions("shop") == {"Ready": "False", "Reconciling": "False", "Stalled": "True"}
    assert cluster.having("shop", revision) == ["n1", "n2", "n3"]
    assert cluster.take_events() == [("FunctionNotFound", message)]
    cluster.answer("n2")
    cluster.looks()
    assert cluster.statuses["shop"].message == "3 of 3 nodes ready"
    assert (cluster.statuses["shop"].failures, cluster.statuses["shop"].nodes.failed) == ((), 0)


def test_a_new_node_that_stays_silent_stalls_it_by_the_deadline() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply("shop")
    cluster.roll_out("shop")
    cluster.add_node("n3")
    waiting = cluster.looks()
    assert cluster.statuses["shop"].message == "2 of 3 nodes ready, waiting for n3 (silent), until 2026-11-25T10:10:00Z at most"
    assert waiting.wake is not None
    cluster.now = waiting.wake
    assert cluster.looks().wake is None
    assert (cluster.reason("shop"), cluster.conditions("shop")["Stalled"]) == ("ProgressDeadlineExceeded", "True")
    cluster.answer("n3")
    cluster.looks()
    assert cluster.conditions("shop")["Ready"] == "True"


def test_an_agent_that_starts_again_has_the_whole_deadline() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply("shop")
    cluster.roll_out("shop")
    cluster.wait(hours=3)
    cluster.answer("n1", state="Pending", reason="Building")
    cluster.looks()
    assert cluster.statuses["shop"].message == "1 of 2 nodes ready, waiting for n1 (pending), until 2026-11-25T13:10:00Z at most"
