"""Argo CD's health script, run by Lua 5.1, whose rules Argo CD's own interpreter follows, against statuses as the operator writes them."""

from pathlib import Path
from typing import Any

import pytest
from clew_crds.observed import Condition, Truth
from clew_crds.status import PolicyStatus
from lupa.lua51 import LuaRuntime  # type: ignore[import-untyped]  # ships no types

SCRIPT = Path(__file__).parents[2] / "charts/clew/argocd/health.lua"
WAITING = ("Progressing", "The operator has not seen this generation yet")


def health(status: dict[str, Any] | None, *, paused: bool = False, generation: int = 2) -> tuple[str, str]:
    policy: dict[str, Any] = {"metadata": {"name": "bookinfo", "generation": generation}, "spec": {"rollout": {"paused": paused}}}
    if status is not None:
        policy["status"] = status
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(policy, recursive=True)
    found = lua.execute(SCRIPT.read_text())
    assert set(found) == {"status", "message"}
    return found["status"], found["message"]


def written(*, ready: str = "False", reconciling: str = "False", stalled: str = "False", observed: int = 2) -> dict[str, Any]:
    held = {"Ready": ready, "Reconciling": reconciling, "Stalled": stalled}
    return PolicyStatus(
        observed_generation=observed,
        conditions=tuple(
            Condition(
                type=name,
                status=Truth(truth),
                observed_generation=observed,
                last_transition_time="2026-11-25T10:00:00Z",
                reason=f"{name}Reason",
                message=f"{name.lower()} says why",
            )
            for name, truth in held.items()
        ),
    ).document()


@pytest.mark.parametrize("observed", [0, 1])
def test_a_generation_that_was_not_seen_is_in_progress_whatever_the_conditions_say(observed: int) -> None:
    assert health(written(ready="True", observed=observed)) == WAITING
    assert health(written(stalled="True", observed=observed)) == WAITING


def test_a_policy_without_a_status_is_in_progress() -> None:
    assert health(None, generation=1) == WAITING
    assert health({}, generation=1) == WAITING


def test_ready_is_healthy() -> None:
    assert health(written(ready="True")) == ("Healthy", "ready says why")


def test_a_rollout_under_way_is_in_progress_also_where_the_policy_is_ready_yet() -> None:
    assert health(written(reconciling="True")) == ("Progressing", "reconciling says why")
    assert health(written(reconciling="True", ready="Unknown")) == ("Progressing", "reconciling says why")
    assert health(written(reconciling="True", ready="True")) == ("Progressing", "reconciling says why")


def test_stalled_is_degraded_also_when_paused() -> None:
    assert health(written(stalled="True")) == ("Degraded", "stalled says why")
    assert health(written(stalled="True"), paused=True) == ("Degraded", "stalled says why")


def test_a_paused_rollout_is_suspended_and_a_paused_policy_that_is_out_is_healthy() -> None:
    assert health(written(reconciling="True"), paused=True) == ("Suspended", "reconciling says why")
    assert health(written(ready="True"), paused=True) == ("Healthy", "ready says why")


def test_a_seen_policy_without_conditions_is_in_progress() -> None:
    assert health(PolicyStatus(observed_generation=2, message="taken note of").document()) == ("Progressing", "taken note of")


def test_a_condition_without_a_message_gives_its_reason() -> None:
    status = written(stalled="True")
    for condition in status["conditions"]:
        condition["message"] = ""
    assert health(status) == ("Degraded", "StalledReason")
