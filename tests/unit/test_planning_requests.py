"""``kubectl clew promote|abort|retry``, as requests on the newest revision."""

from tests.unit.planning_world import Cluster

STEPS = [{"nodes": "1", "soak": "1h"}, {"nodes": "50%", "soak": "1h"}, {"nodes": "100%"}]
ROLLOUT = {"steps": STEPS, "maxUnavailable": "100%"}


def soaking() -> tuple[Cluster, str, str]:
    """Four nodes on a stable revision, one of which has a newer one and soaks."""
    cluster = Cluster(nodes=4)
    stable = cluster.apply("shop", rollout=ROLLOUT)
    cluster.roll_out("shop")
    newest = cluster.apply("shop", size=2)
    cluster.looks()
    cluster.answer()
    cluster.looks()
    cluster.take_events()
    return cluster, stable, newest


def test_promote_ends_the_soak_of_its_step_and_of_no_other() -> None:
    cluster, _, newest = soaking()
    cluster.ask("shop", "r1", "Promote", step=1)
    cluster.looks()
    assert len(cluster.having("shop", newest)) == 2
    cluster.answer()
    cluster.looks()
    assert (cluster.statuses["shop"].step, cluster.reason("shop")) == ("2/3", "Soaking")
    assert cluster.take_events() == [
        ("Promoted", "step 1 of 3 ends as soon as all of its nodes are ready, without the rest of its soak"),
        ("StepStarted", f"step 2 of 3: {newest} on 2 of 4 nodes"),
    ]


def test_a_promotion_that_comes_late_promotes_nothing() -> None:
    cluster, _, newest = soaking()
    cluster.wait(hours=1)
    cluster.looks()
    cluster.answer()
    cluster.looks()
    cluster.take_events()
    cluster.ask("shop", "r1", "Promote", step=1)
    cluster.looks()
    assert len(cluster.having("shop", newest)) == 2
    assert cluster.take_events() == [("RequestIgnored", "Promote was asked for, and not done: step 1 was meant, and step 2 is under way")]


def test_promote_does_not_make_a_silent_node_healthy() -> None:
    cluster = Cluster(nodes=4)
    newest = cluster.apply("shop", rollout=ROLLOUT)
    cluster.looks()
    cluster.ask("shop", "r1", "Promote", step=1)
    cluster.looks()
    assert len(cluster.having("shop", newest)) == 1
    cluster.answer()
    cluster.looks()
    assert len(cluster.having("shop", newest)) == 2


def test_a_promotion_does_not_outlive_the_steps_that_it_was_about() -> None:
    cluster = Cluster(nodes=4)
    newest = cluster.apply("shop", rollout=ROLLOUT)
    cluster.looks()
    cluster.ask("shop", "r1", "Promote", step=1)
    cluster.looks()
    cluster.apply("shop", rollout={"steps": STEPS[1:]})
    cluster.looks()
    while len(cluster.having("shop", newest)) < 2:
        cluster.answer()
        cluster.looks()
    cluster.answer()
    cluster.looks()
    assert (cluster.statuses["shop"].step, cluster.reason("shop")) == ("1/2", "Soaking")


def test_abort_goes_back_to_the_stable_revision() -> None:
    cluster, stable, newest = soaking()
    cluster.ask("shop", "r1", "Abort")
    cluster.looks()
    cluster.answer()
    cluster.looks()
    assert len(cluster.having("shop", stable)) == 4
    assert cluster.statuses["shop"].message == (
        f"{newest} was aborted by hand at step 1 of 3; rolled back to {stable}; edit the policy, or run `kubectl clew retry shop`"
    )
    assert (cluster.reason("shop"), cluster.conditions("shop")["Stalled"]) == ("Aborted", "True")
    assert cluster.take_events() == [
        ("Aborted", f"{newest} was aborted by hand at step 1 of 3"),
        ("RolledBack", f"no node has {newest} any longer; {stable} is back"),
    ]


def test_a_node_that_fails_after_an_abort_changes_nothing() -> None:
    cluster = Cluster(nodes=4)
    newest = cluster.apply("shop", rollout={"steps": [{"nodes": "50%", "soak": "1h"}, {"nodes": "100%"}], "maxUnavailable": "1"})
    for _ in range(2):
        cluster.looks()
        cluster.answer()
    cluster.looks()
    cluster.ask("shop", "r1", "Abort")
    cluster.looks()
    (left,) = cluster.having("shop", newest)
    cluster.answer(left, state="Failed", reason="FunctionNotFound", message="no such function")
    cluster.looks()
    assert cluster.told("shop") == {}
    assert (cluster.reason("shop"), cluster.statuses["shop"].failures) == ("Aborted", ())


def test_abort_goes_back_even_where_the_rollout_is_paused() -> None:
    cluster, stable, _ = soaking()
    cluster.apply("shop", size=2, rollout={**ROLLOUT, "paused": True})
    cluster.looks()
    cluster.ask("shop", "r1", "Abort")
    cluster.looks()
    assert len(cluster.having("shop", stable)) == 4


def test_abort_takes_back_what_a_failure_with_pause_has_left() -> None:
    cluster, stable, newest = soaking()
    cluster.apply("shop", size=2, rollout={**ROLLOUT, "onFailure": "Pause"})
    (first,) = cluster.having("shop", newest)
    cluster.answer(first, state="Failed", reason="FunctionNotFound", message="no such function")
    cluster.looks()
    assert cluster.having("shop", newest) == [first]
    cluster.ask("shop", "r1", "Abort")
    cluster.looks()
    cluster.answer()
    cluster.looks()
    assert len(cluster.having("shop", stable)) == 4
    assert cluster.reason("shop") == "FunctionNotFound"


def test_retry_begins_again_from_the_first_step() -> None:
    cluster, _, newest = soaking()
    cluster.ask("shop", "r1", "Abort")
    cluster.looks()
    cluster.answer()
    cluster.looks()
    cluster.take_events()
    cluster.ask("shop", "r2", "Retry")
    cluster.looks()
    assert len(cluster.having("shop", newest)) == 1
    assert cluster.conditions("shop")["Reconciling"] == "True"
    assert cluster.take_events() == [("Retried", f"{newest} is tried again, from step 1 of 3")]


def test_retry_takes_a_failed_node_off_the_revision_before_it_gets_it_again() -> None:
    cluster, stable, newest = soaking()
    cluster.apply("shop", size=2, rollout={**ROLLOUT, "onFailure": "Pause"})
    (first,) = cluster.having("shop", newest)
    cluster.answer(first, state="Failed", reason="FunctionNotFound", message="no such function")
    cluster.looks()
    cluster.ask("shop", "r1", "Retry")
    cluster.looks()
    assert cluster.told("shop")[first] == stable
    assert (cluster.conditions("shop")["Reconciling"], cluster.statuses["shop"].failures) == ("True", ())
    cluster.answer(first)
    cluster.looks()
    assert cluster.having("shop", newest) == [first]
    cluster.answer(first)
    cluster.looks()
    assert cluster.reason("shop") == "Soaking"


def test_what_cannot_be_done_is_refused_with_a_reason() -> None:
    cluster, _, newest = soaking()
    cluster.ask("shop", "r1", "Retry")
    cluster.looks()
    cluster.ask("shop", "r2", "Abort")
    cluster.looks()
    cluster.ask("shop", "r3", "Abort")
    cluster.looks()
    cluster.ask("shop", "r4", "Promote", step=1)
    cluster.looks()
    cluster.apply("shop", size=2, rollout={**ROLLOUT, "paused": True})
    cluster.ask("shop", "r5", "Retry")
    cluster.looks()
    refused = [message for reason, message in cluster.take_events() if reason == "RequestIgnored"]
    assert refused == [
        f"Retry was asked for, and not done: {newest} has neither failed nor been aborted",
        f"Abort was asked for, and not done: {newest} is being rolled back already",
        "Promote was asked for, and not done: no rollout is under way",
        "Retry was asked for, and not done: the rollout is paused; set spec.rollout.paused to false first",
    ]


def test_each_request_is_carried_out_once() -> None:
    """Also where the policy is edited away from a revision and back to it: its request was about the rollout of then."""
    cluster, _, newest = soaking()
    for size, request in ((2, "r1"), (3, "r2")):
        cluster.apply("shop", size=size)
        cluster.looks()
        cluster.ask("shop", request, "Abort")
        cluster.looks()
        cluster.answer()
    cluster.apply("shop", size=2)
    cluster.looks()
    assert len(cluster.having("shop", newest)) == 1
    assert cluster.statuses["shop"].rollout.handled_request == "r1"
    assert cluster.conditions("shop")["Reconciling"] == "True"
