"""How a policy stands, in words: one sentence that names nodes and says what to do.

Moments stand in them, never durations: a status that counted minutes would be written every minute.
"""

from __future__ import annotations

from collections.abc import Sequence

from clew_crds.rollout import OnFailure
from clew_crds.status import Failure
from clew_crds.values import format_time

from clew_operator.planning.answers import NodeView
from clew_operator.planning.case import Case, Memory
from clew_operator.planning.moments import after
from clew_operator.planning.progress import Progress

_NAMED = 3
"""Nodes that a sentence names."""
_LONGEST = 500
"""Characters of a sentence, so that a status stays small."""


def cut(text: str, longest: int = _LONGEST) -> str:
    """``text``, or as much of it as there is room for."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def names(views: Sequence[NodeView]) -> str:
    """The first few nodes and how each is: ``n7 (silent), n9 (NotReady) and 4 more``."""
    found = ", ".join(f"{view.name} ({_how(view)})" for view in views[:_NAMED])
    return found if len(views) <= _NAMED else f"{found} and {len(views) - _NAMED} more"


def _how(view: NodeView) -> str:
    if not view.ready:
        return "NotReady"
    return "busy with another policy" if view.settled else view.answer.value.lower()


def rolling(case: Case, memory: Memory, progress: Progress, nodes: Sequence[NodeView]) -> str:
    """A revision that goes out."""
    state = memory.state
    places = max(progress.filled, min(progress.wanted, progress.filled + len(progress.untold)))
    unsupported = f", {len(progress.told) - progress.filled} unsupported" if len(progress.told) > progress.filled else ""
    said = f"step {state.step} of {state.steps}: {progress.ready} of {_nodes(places)} ready{unsupported}"
    if case.rollout.paused:
        return cut(f"paused at {said}")
    if state.soak_started_time is not None:
        until = after(state.soak_started_time, case.rollout.steps[state.step - 1].soak_ns)
        return cut(f"{said}, soaking until {format_time(until)}")
    return cut(f"{said}, {_waiting(case, memory, progress.waiting or progress.away, nodes)}")


def steady(case: Case, progress: Progress, nodes: Sequence[NodeView]) -> str:
    """A stable revision."""
    unsupported = f", {len(progress.told) - progress.filled} unsupported" if len(progress.told) > progress.filled else ""
    absent = [view for view in nodes if not view.ready and (view.told != case.newest or not view.settled)]
    missing = f", {len(absent)} NotReady" if absent else ""
    return f"{progress.ready} of {_nodes(len(nodes))} ready{unsupported}{missing}"


def converging(case: Case, memory: Memory, progress: Progress, nodes: Sequence[NodeView]) -> str:
    """A stable revision that some nodes do not have yet."""
    said = steady(case, progress, nodes)
    return cut(f"paused: {said}" if case.rollout.paused else f"{said}, {_waiting(case, memory, progress.waiting, nodes)}")


def degraded(case: Case, cause: Failure, progress: Progress, nodes: Sequence[NodeView]) -> str:
    """A stable revision that a node cannot enforce any longer, or a new node cannot enforce at all."""
    said = cut(f"{cause.node}: {cause.reason}: {cause.message}", 240)
    return f"{_then(said, steady(case, progress, nodes))}; it is the stable revision: mend the node, or edit the policy"


def stalled(case: Case, memory: Memory, cause: str, nodes: Sequence[NodeView]) -> str:
    """A revision that failed or was aborted: why, what was done about it, and what to do."""
    advice = f"edit the policy, or run `kubectl clew retry {case.name}`"
    return f"{_then(cut(cause, 240), cut(_consequence(case, memory, nodes), 360))}; {advice}"


def _then(said: str, more: str) -> str:
    """One sentence, or two where the first has its own end: agents ask ``did you mean tcp_sendmsg?``."""
    return f"{said} {more[0].upper()}{more[1:]}" if said.endswith(("?", ".")) else f"{said}; {more}"


def _consequence(case: Case, memory: Memory, nodes: Sequence[NodeView]) -> str:
    left = sum(view.told == case.newest for view in nodes)
    if case.rollout.on_failure is OnFailure.PAUSE and not memory.state.aborted:
        return f"stopped with {_nodes(left)} on {case.newest}"
    if case.rollout.paused and not memory.state.aborted and left:
        return f"paused with {_nodes(left)} on {case.newest}"
    to = f"back to {memory.stable}" if memory.stable else "back to nothing, as no revision was stable before"
    waiting = names([view for view in nodes if view.unanswered and view.told != case.newest])
    doing = f"rolling {to}, {_nodes(left)} to go" if left else f"rolled {to}"
    return doing + (f", waiting for {waiting}" if waiting else "")


def _waiting(case: Case, memory: Memory, waiting: Sequence[NodeView], nodes: Sequence[NodeView]) -> str:
    for_ = names(waiting or [view for view in nodes if view.changing])
    if not for_:
        for_ = f"{case.newest} to be made" if case.newest not in case.revisions else "a node that is Ready"
    until = ""
    if memory.state.last_progress_time is not None:
        until = f", until {format_time(after(memory.state.last_progress_time, case.rollout.progress_deadline_ns))} at most"
    return f"waiting for {for_}{until}"


def _nodes(number: int) -> str:
    return f"{number} node{'' if number == 1 else 's'}"
