"""The steps of a rollout as a policy's status tells of them: which are done, what the present one waits for, and until when. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta

from clew_crds.observed import Condition, Truth
from clew_crds.values import format_time, parse_time

from clew_cli.seen import SeenPolicy


class Progress(enum.StrEnum):
    """How far a step is."""

    WAITING = "Waiting"
    UNDER_WAY = "UnderWay"
    SOAKING = "Soaking"
    PROMOTED = "Promoted"
    PAUSED = "Paused"
    FAILED = "Failed"
    ABORTED = "Aborted"
    DONE = "Done"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``target`` nodes shall be healthy at its end, and ``healthy`` of them are. ``until`` is when it goes on, or fails."""

    number: int
    nodes: str
    target: int
    healthy: int
    soak: str
    progress: Progress
    until: str = ""


def condition(policy: SeenPolicy, kind: str) -> Condition | None:
    """The condition of that type, if it holds."""
    return next((one for one in policy.status.conditions if one.type == kind and one.status is Truth.TRUE), None)


def rolled_out(policy: SeenPolicy) -> bool:
    """Whether the newest revision has reached all nodes."""
    return policy.status.revision is not None and policy.status.revision == policy.status.stable_revision


def given_up(policy: SeenPolicy) -> bool:
    """Whether the newest revision has failed or was aborted."""
    return policy.status.revision is not None and policy.status.revision == policy.status.rollout.failed_revision


def steps(policy: SeenPolicy) -> tuple[Step, ...]:
    """The steps of the policy's rollout. Nodes that cannot do what is asked hold nothing up, so they count with the healthy ones."""
    counts = policy.status.nodes
    found = []
    for number, step in enumerate(policy.spec.rollout.steps, 1):
        target = step.amount.of(counts.desired)
        healthy = min(counts.ready + counts.unsupported, target)
        progress = _progress(policy, number)
        until = _until(policy, progress, step.soak_ns, healthy < target)
        found.append(Step(number, step.nodes, target, healthy, step.soak, progress, until))
    return tuple(found)


def _progress(policy: SeenPolicy, number: int) -> Progress:
    rollout = policy.status.rollout
    if rolled_out(policy) or number < rollout.step:
        return Progress.DONE
    if number > rollout.step:
        return Progress.WAITING
    if given_up(policy):
        return Progress.ABORTED if rollout.aborted else Progress.FAILED
    if policy.spec.rollout.paused:
        return Progress.PAUSED
    if rollout.promoted_step == number:
        return Progress.PROMOTED
    return Progress.SOAKING if rollout.soak_started_time is not None else Progress.UNDER_WAY


def _until(policy: SeenPolicy, progress: Progress, soak_ns: int, incomplete: bool) -> str:
    rollout = policy.status.rollout
    if progress is Progress.SOAKING and rollout.soak_started_time is not None:
        return _later(rollout.soak_started_time, soak_ns)
    if progress in (Progress.UNDER_WAY, Progress.PROMOTED) and incomplete and rollout.last_progress_time is not None:
        return _later(rollout.last_progress_time, policy.spec.rollout.progress_deadline_ns)
    return ""


def _later(time: str, nanoseconds: int) -> str:
    """The moment so long after ``time``; empty where the calendar ends before."""
    try:
        return format_time(parse_time(time) + timedelta(microseconds=nanoseconds // 1000))
    except OverflowError:
        return ""
