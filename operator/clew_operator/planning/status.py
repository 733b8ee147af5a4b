"""``TracingPolicy.status``, and the events of what has changed since the one before."""

from __future__ import annotations

from clew_crds.status import Overlap, PolicyStatus
from clew_crds.values import format_time

from clew_operator.planning import sentences
from clew_operator.planning.case import Case, Phase
from clew_operator.planning.conditions import Standing, Verdict, conditions
from clew_operator.planning.failures import DEADLINE
from clew_operator.planning.rollout import Look
from clew_operator.planning.world import Event, Severity

PAUSED = "Paused"


def verdict(case: Case, found: Look) -> Verdict:
    """How the policy stands after this look."""
    memory, progress, nodes = found.memory, found.progress, found.nodes
    phase = memory.phase(case.newest)
    if phase is Phase.FAILED:
        return _stalled(case, found)
    if not nodes:
        return Verdict(Standing.READY, "NoNodes", "there is no node to trace on")
    if phase is Phase.ROLLING:
        reason = PAUSED if case.rollout.paused else "Soaking" if memory.state.soak_started_time is not None else "RollingOut"
        return Verdict(Standing.RECONCILING, reason, sentences.rolling(case, memory, progress, nodes))
    if memory.failures:
        cause = memory.failures[-1]
        said = sentences.degraded(case, cause, progress, nodes)
        return Verdict(Standing.STALLED, cause.reason, said)
    if not progress.waiting and not progress.untold:
        return Verdict(Standing.READY, "RolledOut", sentences.steady(case, progress, nodes))
    said = sentences.converging(case, memory, progress, nodes)
    if found.late:
        return Verdict(Standing.STALLED, DEADLINE, said)
    return Verdict(Standing.RECONCILING, PAUSED if case.rollout.paused else "CatchingUp", said)


def _stalled(case: Case, found: Look) -> Verdict:
    memory = found.memory
    if memory.failures:
        first = memory.failures[-1]
        reason, cause = first.reason, f"{first.node}: {first.reason}: {first.message}"
    elif memory.state.aborted:
        reason, cause = "Aborted", f"{case.newest} was aborted by hand at step {memory.state.step} of {memory.state.steps}"
    else:
        why = "there was no Ready node to tell" if case.newest in case.revisions else "the revision could not be made"
        reason, cause = DEADLINE, f"{case.newest} made no progress: {why}"
    return Verdict(Standing.STALLED, reason, sentences.stalled(case, memory, cause, found.nodes))


def status(case: Case, found: Look, before: PolicyStatus, generation: int, overlaps: tuple[Overlap, ...]) -> PolicyStatus:
    """The status to write."""
    how, memory = verdict(case, found), found.memory
    return PolicyStatus(
        observed_generation=generation,
        revision=case.newest,
        stable_revision=memory.stable,
        nodes=memory.counts,
        step=f"{memory.state.step}/{memory.state.steps}",
        message=how.message,
        rollout=memory.state,
        failures=memory.failures,
        overlaps=overlaps,
        conditions=conditions(how, generation, before.conditions, format_time(case.now)),
    )


def transitions(case: Case, before: PolicyStatus, now: PolicyStatus) -> tuple[Event, ...]:
    """What is to be told of pausing, stalling and rolling back."""
    was, is_ = _reason(before), _reason(now)
    events = []
    if is_ == PAUSED and was != PAUSED:
        events.append(Event(case.name, Severity.NORMAL, "Paused", now.message))
    if was == PAUSED and is_ != PAUSED:
        events.append(Event(case.name, Severity.NORMAL, "Resumed", now.message))
    if _is_stalled(now) and (not _is_stalled(before) or before.revision != now.revision) and is_ != "Aborted":
        events.append(Event(case.name, Severity.WARNING, is_, now.message))
    if _is_stalled(now) and before.revision == now.revision and before.nodes.updated and not now.nodes.updated:
        back = f"; {now.stable_revision} is back" if now.stable_revision else ", nor another: none was stable before"
        message = f"no node has {now.revision} any longer{back}"
        events.append(Event(case.name, Severity.NORMAL, "RolledBack", message))
    return tuple(events)


def _reason(status: PolicyStatus) -> str:
    return next((condition.reason for condition in status.conditions if condition.type == Standing.READY), "")


def _is_stalled(status: PolicyStatus) -> bool:
    return any(condition.type == Standing.STALLED and condition.status == "True" for condition in status.conditions)
