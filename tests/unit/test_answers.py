"""Which reports of an agent answer what its node is told."""

import pytest
from clew_crds.answers import Answer, answer, answering, is_behind
from clew_crds.node import State

from tests.unit.made_status import NEW, OLD, node, report


def test_a_report_of_another_revision_or_policy_is_no_answer() -> None:
    told = {"shop": NEW, "third": NEW}
    seen = node("n1", told, [report("Ready", OLD), report("Failed", NEW, name="third"), report("Ready", NEW, name="gone")])
    assert {name: one.state for name, one in answering(seen).items()} == {"third": State.FAILED}


@pytest.mark.parametrize(
    ("reports", "counted"),
    [
        pytest.param([report("Ready")], [], id="all fit, so it is the spec of before that they answer"),
        pytest.param([report("Ready"), report("Ready", OLD, name="other")], ["shop"], id="another policy was taken away"),
    ],
)
def test_a_status_that_is_behind(reports: list[dict[str, str]], counted: list[str]) -> None:
    behind = node("n1", {"shop": NEW}, reports, generation=3, observedGeneration=2)
    assert is_behind(behind)
    assert list(answering(behind)) == counted


def test_a_status_that_lacks_a_policy_that_was_added() -> None:
    behind = node("n1", {"shop": NEW, "other": OLD}, [report("Ready")], generation=3, observedGeneration=2)
    assert list(answering(behind)) == ["shop"]


@pytest.mark.parametrize("state", list(State))
def test_an_answer_is_the_state_that_is_reported(state: State) -> None:
    seen = node("n1", {"shop": NEW}, [report(state)])
    assert not is_behind(seen)
    assert answer(answering(seen)["shop"]) == state.value
    assert answer(None) is Answer.SILENT
