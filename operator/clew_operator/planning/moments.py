"""Moments as a status keeps them, and what happens to them when the clock was set back.

All arithmetic starts from the text in the status, which is to the second, so that two looks at one status agree.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from clew_crds.observed import Condition
from clew_crds.status import PolicyStatus
from clew_crds.values import format_time, parse_time


def after(start: str, nanoseconds: int) -> datetime:
    """The moment so long after ``start``."""
    return parse_time(start) + timedelta(microseconds=nanoseconds // 1000)


def clamped(status: PolicyStatus, now: datetime) -> PolicyStatus:
    """``status`` without times that are still to come: they were written before the clock was set back, and count as now.

    A soak that seems to begin in the future so begins anew; none is cut short.
    """
    rollout = status.rollout.model_copy(
        update={
            field: _past(getattr(status.rollout, field), now) for field in ("step_started_time", "last_progress_time", "soak_started_time")
        }
    )
    conditions = tuple(_clamped(condition, now) for condition in status.conditions)
    return status.model_copy(update={"rollout": rollout, "conditions": conditions})


def _clamped(condition: Condition, now: datetime) -> Condition:
    return condition.model_copy(update={"last_transition_time": _past(condition.last_transition_time, now)})


def _past(time: str | None, now: datetime) -> str | None:
    return format_time(now) if time is not None and parse_time(time) > now else time
