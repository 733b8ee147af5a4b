"""The rollout of one policy: from what was remembered and what nodes have answered to what comes next.

Every look does the same, whatever happened before: it goes on where the status says (or begins anew, when the policy asks for another
revision), carries out a request, judges the step, tells nodes, and remembers. Nothing is kept elsewhere, so any replica can make the
next look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from clew_crds.status import PolicyStatus, RolloutStatus
from clew_crds.values import format_time

from clew_operator.planning.answers import NodeView
from clew_operator.planning.case import Case, Memory, Phase
from clew_operator.planning.failures import failed, noted, overdue, present
from clew_operator.planning.moments import after
from clew_operator.planning.moves import moves
from clew_operator.planning.progress import Progress, count, first_step, measure
from clew_operator.planning.requests import carry_out
from clew_operator.planning.world import Event, Severity


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one look: what to remember, who is told what, and the nodes as they are once they are told."""

    memory: Memory
    moves: Mapping[str, str | None]
    nodes: tuple[NodeView, ...]
    progress: Progress
    events: tuple[Event, ...]
    late: bool
    """Whether nothing has been heard of a node for longer than the progress deadline."""
    wake: datetime | None


def look(case: Case, status: PolicyStatus) -> Look:
    """Take the rollout one look further. ``status`` is what was written last, without times to come."""
    memory, begun = _recalled(case, status)
    handled = carry_out(case, memory)
    memory, judged = _judged(case, handled.memory, handled.again)
    held = _is_news(case, memory, status)
    told = {} if held else moves(case, memory, handled.again)
    nodes = tuple(view.retold(told[view.name]) if view.name in told else view for view in case.nodes)
    progress = measure(case, memory, nodes)
    memory = _timed(case, memory, progress, moved=bool(told))
    memory = replace(memory, counts=count(case.newest, nodes, memory.failed))
    moments = [moment for moment in (_deadline(case, memory), _soaked(case, memory)) if moment is not None]
    if held:
        moments.append(case.now + timedelta(seconds=1))
    return Look(
        memory=memory,
        moves=told,
        nodes=nodes,
        progress=progress,
        events=(*begun, *handled.events, *judged),
        late=any(moment <= case.now for moment in moments),
        wake=min((moment for moment in moments if moment > case.now), default=None),
    )


def _is_news(case: Case, memory: Memory, status: PolicyStatus) -> bool:
    """Whether the revision has failed at this very look.

    Nodes are taken back only once the status says so: the evidence goes with the first node that is told something else, and an
    operator that ended in between would tell more nodes a revision that has failed. (An abort stands on the revision.)
    """
    return memory.phase(case.newest) is Phase.FAILED and status.rollout.failed_revision != case.newest and not memory.state.aborted


def _recalled(case: Case, status: PolicyStatus) -> tuple[Memory, tuple[Event, ...]]:
    """What is remembered, adapted to a policy that may have been edited since."""
    steps, state = len(case.rollout.steps), status.rollout
    if status.revision == case.newest:
        if state.steps != steps:
            state = state.model_copy(update={"steps": steps, "step": min(max(1, state.step), steps), "promoted_step": 0})
        return Memory(state, status.stable_revision, status.nodes, status.failures, status.nodes.failed), ()
    handled = case.request.id if case.request is not None else state.handled_request
    state = RolloutStatus(step=first_step(case), steps=steps, step_started_time=format_time(case.now), handled_request=handled)
    memory = Memory(state, status.stable_revision, count(case.newest, case.nodes, 0))
    back = memory.phase(case.newest) is Phase.STEADY
    going = f"{case.newest} goes out in {steps} step{'' if steps == 1 else 's'}"
    what = f"all nodes go back to {case.newest}, which is stable" if back else going
    return memory, (Event(case.name, Severity.NORMAL, "RolloutStarted", what),)


def _judged(case: Case, memory: Memory, again: frozenset[str]) -> tuple[Memory, tuple[Event, ...]]:
    """Decide whether the step is done, goes on, or has failed. ``again`` are nodes whose failure does not count any longer."""
    phase = memory.phase(case.newest)
    failing = [view for view in measure(case, memory, case.nodes).failing if view.name not in again]
    if phase is Phase.FAILED:
        return (memory if memory.state.aborted else noted(memory, failing)), ()
    if phase is Phase.STEADY:
        return _settled(case, memory), ()
    if failing:
        return failed(case, memory, failing), ()
    memory, events = _advanced(case, memory)
    if memory.phase(case.newest) is Phase.ROLLING and _is_overdue(case, memory):
        memory = overdue(case, memory, _unheard(case, memory))
    return memory, events


def _advanced(case: Case, memory: Memory) -> tuple[Memory, tuple[Event, ...]]:
    """Go on to the next step, and further, while steps are done."""
    events: list[Event] = []
    while True:
        memory, done = _soaking(case, memory)
        if not done or case.rollout.paused:
            return memory, tuple(events)
        state = memory.state
        if state.step == state.steps:
            what = f"{case.newest} is on all nodes, and stable"
            events.append(Event(case.name, Severity.NORMAL, "RolledOut", what))
            return _settled(case, replace(memory, stable=case.newest)), tuple(events)
        fresh = {"step": state.step + 1, "step_started_time": format_time(case.now), "soak_started_time": None}
        memory = replace(memory, state=state.model_copy(update=fresh))
        wanted = measure(case, memory, case.nodes).wanted
        what = f"step {state.step + 1} of {state.steps}: {case.newest} on {wanted} of {len(case.nodes)} nodes"
        events.append(Event(case.name, Severity.NORMAL, "StepStarted", what))


def _soaking(case: Case, memory: Memory) -> tuple[Memory, bool]:
    """``memory`` with the beginning of the soak, if it has begun, and whether the step is done.

    The soak lasts only while every node of the step is healthy: it begins anew after a node was NotReady or took its answer back.
    """
    state, progress = memory.state, measure(case, memory, case.nodes)
    soak = 0 if state.promoted_step == state.step else case.rollout.steps[state.step - 1].soak_ns
    began = None
    if progress.answered and soak and not progress.away:
        began = state.soak_started_time or format_time(case.now)
    done = progress.answered if soak == 0 else began is not None and after(began, soak) <= case.now
    return replace(memory, state=state.model_copy(update={"soak_started_time": began})), done


def _settled(case: Case, memory: Memory) -> Memory:
    """The newest revision is the stable one: there are no steps any longer, and failures are those that nodes have now."""
    steps = len(case.rollout.steps)
    state = memory.state.model_copy(update={"step": steps, "soak_started_time": None, "promoted_step": 0})
    return present(replace(memory, state=state), measure(case, memory, case.nodes).failing)


def _timed(case: Case, memory: Memory, progress: Progress, moved: bool) -> Memory:
    """``memory`` with the time of the last progress, which is there only while something is waited for."""
    phase, state = memory.phase(case.newest), memory.state
    going = phase is Phase.ROLLING and state.soak_started_time is None
    catching_up = phase is Phase.STEADY and bool(progress.waiting or progress.untold)
    time = state.last_progress_time
    if case.rollout.paused or not case.nodes or not (going or catching_up):
        time = None
    elif moved or time is None or _has_answers(case, memory):
        time = format_time(case.now)
    return replace(memory, state=state.model_copy(update={"last_progress_time": time}))


def _is_overdue(case: Case, memory: Memory) -> bool:
    due = _deadline(case, memory)
    soaking = memory.state.soak_started_time is not None
    return due is not None and due <= case.now and not (soaking or case.rollout.paused or _has_answers(case, memory))


def _unheard(case: Case, memory: Memory) -> Sequence[NodeView]:
    """The nodes that hold the step up: its own, or those that leave no room under ``maxUnavailable``."""
    progress = measure(case, memory, case.nodes)
    return progress.waiting or progress.away or [view for view in case.nodes if view.changing]


def _has_answers(case: Case, memory: Memory) -> bool:
    """Whether more nodes have answered than at the look before."""
    now, then = count(case.newest, case.nodes, 0), memory.counts
    return now.ready + now.unsupported > then.ready + then.unsupported


def _deadline(case: Case, memory: Memory) -> datetime | None:
    time = memory.state.last_progress_time
    return None if time is None else after(time, case.rollout.progress_deadline_ns)


def _soaked(case: Case, memory: Memory) -> datetime | None:
    began = memory.state.soak_started_time
    return None if began is None or case.rollout.paused else after(began, case.rollout.steps[memory.state.step - 1].soak_ns)
