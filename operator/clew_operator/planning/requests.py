"""What a person asks of a rollout by ``kubectl clew promote|abort|retry``. Each request is carried out once, or refused with a reason.

A request stands on the newest revision of the policy, never on the policy: GitOps owns that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from clew_crds.node import State
from clew_crds.revision import Action, RolloutRequest
from clew_crds.values import format_time

from clew_operator.planning.answers import NodeView
from clew_operator.planning.case import Case, Memory, Phase
from clew_operator.planning.progress import first_step
from clew_operator.planning.world import Event, Severity


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of a request. ``again`` are nodes that failed and are to forget the revision before they are told it once more."""

    memory: Memory
    events: tuple[Event, ...] = ()
    again: frozenset[str] = frozenset()


def carry_out(case: Case, memory: Memory) -> Handled:
    """Carry out the request of the newest revision, unless that was done."""
    request = case.request
    if request is None or request.id == memory.state.handled_request:
        return Handled(memory)
    memory = replace(memory, state=memory.state.model_copy(update={"handled_request": request.id}))
    refusal = _refusal(case, memory, request)
    if refusal:
        message = f"{request.action.value} was asked for, and not done: {refusal}"
        return Handled(memory, (Event(case.name, Severity.WARNING, "RequestIgnored", message),))
    if request.action is Action.PROMOTE:
        return _promoted(case, memory)
    if request.action is Action.ABORT:
        return _aborted(case, memory)
    return _retried(case, memory)


def _refusal(case: Case, memory: Memory, request: RolloutRequest) -> str:
    phase, step = memory.phase(case.newest), memory.state.step
    if request.action is Action.RETRY:
        if phase is not Phase.FAILED:
            return f"{case.newest} has neither failed nor been aborted"
        return "the rollout is paused; set spec.rollout.paused to false first" if case.rollout.paused else ""
    if request.action is Action.ABORT:
        if phase is Phase.FAILED:
            return "" if case.rollout.holds_failed and not memory.state.aborted else f"{case.newest} is being rolled back already"
        return "" if phase is Phase.ROLLING else "no rollout is under way"
    if phase is not Phase.ROLLING:
        return "no rollout is under way"
    return "" if request.step == step else f"step {request.step} was meant, and step {step} is under way"


def _promoted(case: Case, memory: Memory) -> Handled:
    state = memory.state.model_copy(update={"promoted_step": memory.state.step})
    message = f"step {state.step} of {state.steps} ends as soon as all of its nodes are ready, without the rest of its soak"
    return Handled(replace(memory, state=state), (Event(case.name, Severity.NORMAL, "Promoted", message),))


def _aborted(case: Case, memory: Memory) -> Handled:
    state = memory.state.model_copy(update={"failed_revision": case.newest, "aborted": True, "soak_started_time": None})
    message = f"{case.newest} was aborted by hand at step {state.step} of {state.steps}"
    return Handled(replace(memory, state=state), (Event(case.name, Severity.WARNING, "Aborted", message),))


def _retried(case: Case, memory: Memory) -> Handled:
    step = first_step(case)
    fresh = {
        "step": step,
        "step_started_time": format_time(case.now),
        "last_progress_time": None,
        "soak_started_time": None,
        "failed_revision": None,
        "aborted": False,
        "promoted_step": 0,
    }
    memory = replace(memory, state=memory.state.model_copy(update=fresh), failures=(), failed=0)
    again = frozenset(view.name for view in case.nodes if _failed(view, case.newest))
    message = f"{case.newest} is tried again, from step {step} of {memory.state.steps}"
    return Handled(memory, (Event(case.name, Severity.NORMAL, "Retried", message),), again)


def _failed(view: NodeView, revision: str) -> bool:
    return view.told == revision and view.report is not None and view.report.state is State.FAILED
