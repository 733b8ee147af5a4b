"""A step that fails: an answer, silence, what is done about it, and how it ends."""

from tests.unit.planning_world import NOT_FOUND, Cluster

ROLLOUT = {"steps": [{"nodes": "50%", "soak": "1m"}, {"nodes": "100%"}], "maxUnavailable": "2"}


def rolling(**rollout: str) -> tuple[Cluster, str, str, list[str]]:
    """Eight nodes; two of them were just told a newer revision than the stable one."""
    cluster = Cluster(nodes=8)
    stable = cluster.apply("shop", rollout={**ROLLOUT, **rollout})
    cluster.roll_out("shop")
    newest = cluster.apply("shop", size=2)
    cluster.looks()
    cluster.take_events()
    return cluster, stable, newest, cluster.having("shop", newest)


def test_one_node_that_fails_takes_every_node_back_to_the_stable_revision() -> None:
    cluster, stable, newest, (first, second) = rolling()
    cluster.answer(second)
    cluster.looks()
    told = cluster.having("shop", newest)
    assert len(told) == 3
    cluster.fail(first)
    cause = f"{first}: FunctionNotFound: {NOT_FOUND}"
    advice = "edit the policy, or run `kubectl clew retry shop`"
    cluster.look()
    assert cluster.having("shop", newest) == told
    assert cluster.statuses["shop"].message == f"{cause}; rolling back to {stable}, 3 nodes to go; {advice}"
    assert cluster.conditions("shop") == {"Ready": "False", "Reconciling": "False", "Stalled": "True"}
    cluster.looks()
    assert cluster.having("shop", newest) == [second]
    cluster.answer()
    cluster.looks()
    assert cluster.statuses["shop"].message == f"{cause}; rolled back to {stable}, waiting for {second} (silent); {advice}"
    cluster.answer()
    assert cluster.looks().wake is None
    status = cluster.statuses["shop"]
    assert status.message == f"{cause}; rolled back to {stable}; {advice}"
    assert (status.revision, status.stable_revision, status.rollout.failed_revision) == (newest, stable, newest)
    assert (status.step, cluster.reason("shop")) == ("1/2", "FunctionNotFound")
    assert [failure.document() for failure in status.failures] == [{"node": first, "reason": "FunctionNotFound", "message": NOT_FOUND}]
    assert (status.nodes.desired, status.nodes.updated, status.nodes.failed) == (8, 0, 1)
    assert cluster.take_events() == [
        ("FunctionNotFound", f"{cause}; rolling back to {stable}, 3 nodes to go; {advice}"),
        ("RolledBack", f"no node has {newest} any longer; {stable} is back"),
    ]


def test_where_nothing_was_stable_before_the_policy_is_taken_off() -> None:
    cluster = Cluster(nodes=8)
    revision = cluster.apply("shop", rollout=ROLLOUT)
    cluster.looks()
    cluster.fail(cluster.having("shop", revision)[0])
    cluster.looks()
    cluster.answer()
    cluster.looks()
    assert cluster.told("shop") == {}
    assert "; rolled back to nothing, as no revision was stable before; " in cluster.statuses["shop"].message
    assert cluster.take_events()[-1] == ("RolledBack", f"no node has {revision} any longer, nor another: none was stable before")


def test_a_cause_that_ends_with_a_question_is_a_sentence_of_its_own() -> None:
    cluster, _, newest, (first, _) = rolling(onFailure="Pause")
    cluster.answer(first, state="Failed", reason="FunctionNotFound", message="did you mean tcp_sendmsg?")
    cluster.looks()
    said = f"{first}: FunctionNotFound: did you mean tcp_sendmsg? Stopped with 2 nodes on {newest}; edit the policy, or run"
    assert cluster.statuses["shop"].message == f"{said} `kubectl clew retry shop`"


def test_on_failure_pause_stops_where_it_is() -> None:
    cluster, stable, newest, (first, second) = rolling(onFailure="Pause")
    cluster.fail(first)
    cluster.looks()
    cluster.answer(second)
    cluster.wait(hours=1)
    cluster.looks()
    assert cluster.having("shop", newest) == [first, second]
    assert cluster.statuses["shop"].message == (
        f"{first}: FunctionNotFound: {NOT_FOUND}; stopped with 2 nodes on {newest}; edit the policy, or run `kubectl clew retry shop`"
    )
    cluster.add_node("n9")
    cluster.looks()
    assert cluster.told("shop")["n9"] == stable


def test_pause_edited_to_rollback_rolls_back() -> None:
    cluster, stable, newest, (first, _) = rolling(onFailure="Pause")
    cluster.fail(first)
    cluster.looks()
    cluster.apply("shop", size=2, rollout=ROLLOUT)
    cluster.looks()
    assert cluster.having("shop", newest) == []
    assert len(cluster.having("shop", stable)) == 8
    assert cluster.conditions("shop")["Stalled"] == "True"


def test_a_failure_in_the_soak_fails_the_step() -> None:
    cluster, _, newest, _ = rolling()
    for _ in range(2):
        cluster.answer()
        cluster.looks()
    assert cluster.reason("shop") == "Soaking"
    cluster.fail(cluster.having("shop", newest)[0])
    cluster.looks()
    assert cluster.conditions("shop")["Stalled"] == "True"


def test_silence_makes_no_progress_and_fails_by_the_deadline() -> None:
    cluster, stable, newest, (first, second) = rolling()
    cluster.wait(minutes=4)
    cluster.answer(second)
    cluster.looks()
    third = next(name for name in cluster.having("shop", newest) if name not in (first, second))
    cluster.answer(third)
    cluster.looks()
    cluster.answer(*(name for name in cluster.having("shop", newest) if name != first))
    waiting = cluster.looks()
    assert cluster.statuses["shop"].message == (
        f"step 1 of 2: 3 of 4 nodes ready, waiting for {first} (silent), until 2026-11-25T10:15:00Z at most"
    )
    assert waiting.wake is not None
    cluster.now = waiting.wake
    cluster.looks()
    status = cluster.statuses["shop"]
    assert [failure.document() for failure in status.failures] == [
        {"node": first, "reason": "ProgressDeadlineExceeded", "message": "it has not answered; no progress since 2026-11-25T10:05:00Z"}
    ]
    assert (cluster.reason("shop"), status.nodes.failed) == ("ProgressDeadlineExceeded", 1)
    assert first in cluster.having("shop", stable)


def test_a_deadline_that_passes_where_no_node_is_ready_says_so() -> None:
    cluster = Cluster(nodes=2)
    for name in cluster.nodes:
        cluster.set_ready(name, False)
    newest = cluster.apply("shop")
    cluster.looks()
    assert cluster.statuses["shop"].message == (
        "step 1 of 1: 0 of 0 nodes ready, waiting for a node that is Ready, until 2026-11-25T10:10:00Z at most"
    )
    cluster.wait(minutes=10)
    cluster.looks()
    assert cluster.statuses["shop"].message.startswith(
        f"{newest} made no progress: there was no Ready node to tell; rolled back to nothing"
    )
    assert (cluster.reason("shop"), cluster.statuses["shop"].failures) == ("ProgressDeadlineExceeded", ())


def test_an_answer_is_progress_though_no_other_node_is_told() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply("shop", rollout={"maxUnavailable": "100%"})
    cluster.looks()
    cluster.wait(minutes=9)
    cluster.answer("n1")
    cluster.looks()
    assert cluster.statuses["shop"].message == (
        "step 1 of 1: 1 of 2 nodes ready, waiting for n2 (silent), until 2026-11-25T10:19:00Z at most"
    )


def test_a_node_that_is_told_is_progress_though_none_has_answered() -> None:
    cluster = Cluster(nodes=3)
    cluster.apply("shop", rollout={"maxUnavailable": "1"})
    cluster.looks()
    cluster.wait(minutes=9)
    cluster.remove_node(*cluster.told("shop"))
    cluster.looks()
    (second,) = cluster.told("shop")
    assert cluster.statuses["shop"].message == (
        f"step 1 of 1: 0 of 2 nodes ready, waiting for {second} (silent), until 2026-11-25T10:19:00Z at most"
    )


def test_the_soak_is_no_lack_of_progress() -> None:
    cluster, _, _, _ = rolling(progressDeadline="10s")
    for _ in range(2):
        cluster.answer()
        cluster.looks()
    cluster.wait(seconds=59)
    cluster.looks()
    assert cluster.reason("shop") == "Soaking"


def test_silent_nodes_that_fill_max_unavailable_hold_a_rollback_where_it_is() -> None:
    cluster, stable, newest, told = rolling(maxUnavailable="1")
    cluster.answer(*told)
    cluster.looks()
    silent = next(name for name in cluster.having("shop", newest) if name not in told)
    cluster.wait(minutes=10)
    cluster.looks()
    assert cluster.having("shop", newest) == told
    assert silent in cluster.having("shop", stable)
    cluster.answer(silent)
    cluster.looks()
    assert cluster.having("shop", newest) == []


def test_an_edit_while_stalled_begins_anew() -> None:
    cluster, stable, newest, (first, _) = rolling()
    cluster.fail(first)
    cluster.looks()
    cluster.answer()
    cluster.looks()
    third = cluster.apply("shop", size=3)
    cluster.looks()
    assert len(cluster.having("shop", third)) == 2
    assert (cluster.statuses["shop"].failures, cluster.statuses["shop"].nodes.failed) == ((), 0)
    assert cluster.conditions("shop") == {"Ready": "False", "Reconciling": "True", "Stalled": "False"}
    cluster.roll_out("shop")
    assert cluster.having("shop", stable) == cluster.having("shop", newest) == []


def test_an_edit_in_a_rollback_begins_anew_and_keeps_to_max_unavailable() -> None:
    cluster, _, newest, (first, second) = rolling()
    cluster.answer(second)
    cluster.looks()
    cluster.fail(first)
    cluster.looks()
    third = cluster.apply("shop", size=3)
    cluster.looks()
    assert (cluster.having("shop", newest), len(cluster.silent())) == ([second], 2)
    cluster.roll_out("shop")
    assert len(cluster.having("shop", third)) == 8


def test_an_edit_of_the_rollout_alone_does_not_try_a_failed_revision_again() -> None:
    cluster, stable, _, (first, _) = rolling()
    cluster.fail(first)
    cluster.looks()
    cluster.answer()
    cluster.looks()
    cluster.apply("shop", size=2, rollout={**ROLLOUT, "progressDeadline": "1h"})
    cluster.looks()
    assert len(cluster.having("shop", stable)) == 8
    assert cluster.statuses["shop"].observed_generation == 3
    assert [condition.observed_generation for condition in cluster.statuses["shop"].conditions] == [3, 3, 3]


def test_back_to_the_stable_revision_while_stalled_is_ready_again() -> None:
    cluster, stable, _, (first, _) = rolling()
    cluster.fail(first)
    cluster.looks()
    cluster.answer()
    cluster.apply("shop", size=1)
    cluster.looks()
    assert cluster.conditions("shop") == {"Ready": "True", "Reconciling": "False", "Stalled": "False"}
    assert (cluster.statuses["shop"].revision, cluster.statuses["shop"].failures) == (stable, ())


def test_a_paused_policy_that_fails_is_rolled_back_when_it_goes_on() -> None:
    cluster, stable, newest, (first, second) = rolling()
    cluster.apply("shop", size=2, rollout={**ROLLOUT, "paused": True})
    cluster.fail(first)
    cluster.looks()
    assert cluster.having("shop", newest) == [first, second]
    assert f"; paused with 2 nodes on {newest}; " in cluster.statuses["shop"].message
    cluster.apply("shop", size=2, rollout=ROLLOUT)
    cluster.looks()
    assert len(cluster.having("shop", stable)) == 8


def test_many_failures_are_counted_and_the_first_few_named() -> None:
    cluster = Cluster(nodes=9)
    cluster.apply("shop", rollout={"maxUnavailable": "100%", "onFailure": "Pause"})
    cluster.looks()
    cluster.fail("n4")
    cluster.looks()
    cluster.fail()
    cluster.looks()
    status = cluster.statuses["shop"]
    assert [failure.node for failure in status.failures] == ["n5", "n3", "n2", "n1", "n4"]
    assert status.nodes.failed == 9
    assert status.message.startswith("n4: FunctionNotFound: ")
