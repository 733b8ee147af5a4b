"""What a NodeTracing says of a revision."""

import pytest
from clew_crds.answers import Answer
from clew_operator.planning.answers import NodeView, records
from clew_operator.planning.world import Plan

from tests.unit.planning_world import Cluster


def told(*sizes: int, answered: int = 0) -> tuple[Cluster, list[str]]:
    """One node that was told revisions of these sizes, one after the other, and answered the first few of them."""
    cluster = Cluster(nodes=1)
    names = []
    for number, size in enumerate(sizes, 1):
        names.append(cluster.apply("shop", size=size))
        cluster.looks()
        if number <= answered:
            cluster.answer()
            cluster.looks()
    return cluster, names


def view(cluster: Cluster, policy: str = "shop") -> NodeView:
    (record,) = records(cluster.nodes, cluster.tracings)
    return record.view(policy, cluster.policies[policy].metadata.uid or "")


@pytest.mark.parametrize("state", ["Pending", "Ready", "Failed", "Unsupported"])
def test_an_answer_is_the_state_that_is_reported_for_what_was_told(state: str) -> None:
    cluster, (name,) = told(1)
    cluster.answer("n1", state=state)
    found = view(cluster)
    assert (found.told, found.said, found.answer) == (name, name, Answer(state))
    assert found.changing is (state in ("Pending", "Failed"))


def test_a_node_that_has_said_nothing_is_silent() -> None:
    cluster, (name,) = told(1)
    assert (view(cluster).told, view(cluster).answer, view(cluster).changing) == (name, Answer.SILENT, True)
    cluster.tracings.clear()
    assert (view(cluster).told, view(cluster).answer, view(cluster).changing) == (None, Answer.SILENT, False)


def test_an_answer_to_another_revision_is_none() -> None:
    cluster, (old, new) = told(1, 2, answered=1)
    assert (view(cluster).told, view(cluster).said, view(cluster).answer) == (new, old, Answer.SILENT)


def test_an_old_answer_to_a_revision_that_is_told_again_does_not_count() -> None:
    cluster, (first, _, again) = told(1, 2, 1, answered=1)
    assert first == again
    assert (view(cluster).told, view(cluster).said, view(cluster).answer) == (first, first, Answer.SILENT)
    cluster.answer()
    assert view(cluster).answer is Answer.READY


def test_a_change_for_another_policy_leaves_the_answer_and_makes_the_node_busy() -> None:
    cluster, _ = told(1, answered=1)
    cluster.apply("other")
    cluster.looks()
    assert (view(cluster).answer, view(cluster).unanswered, view(cluster).changing) == (Answer.READY, False, True)
    assert view(cluster, "other").answer is Answer.SILENT


def test_a_node_that_lets_go_is_changing_until_its_report_is_gone() -> None:
    cluster, (name,) = told(1, answered=1)
    cluster.carry_out(Plan(assignments={"n1": ()}))
    assert (view(cluster).told, view(cluster).said, view(cluster).changing) == (None, name, True)
    cluster.answer("n1")
    assert view(cluster).changing is False


def test_an_entry_of_an_older_policy_of_the_same_name_is_not_this_ones() -> None:
    cluster, (name,) = told(1, answered=1)
    (record,) = records(cluster.nodes, cluster.tracings)
    assert record.view("shop", "uid-of-another").told is None
    assert record.view("shop", "uid-of-another").said == name
