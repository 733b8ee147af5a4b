"""What a policy is told that the models refuse: its status and its event. What is enforced of it stays as it is (``World.unreadable``).

The API server checks policies by the same models (the CRD is made from them), so this takes a CRD of another version of Clew. Pure.
"""

from __future__ import annotations

from datetime import datetime

from clew_crds.observed import MESSAGE_MAX, Condition, Truth
from clew_crds.status import PolicyStatus
from clew_crds.values import format_time

from clew_operator.gather import Unreadable
from clew_operator.planning.world import Event, Severity

REASON = "InvalidSpec"


def status_of(policy: Unreadable, now: datetime) -> PolicyStatus:
    """The policy's status: Stalled, with what is wrong in the spec. The memory of its rollout stays."""
    message = "; ".join(policy.problems)
    message = message if len(message) <= MESSAGE_MAX else message[: MESSAGE_MAX - 1] + "…"
    before = {one.type: one for one in policy.status.conditions}
    conditions = tuple(
        _condition(kind, truth, message, policy, before.get(kind), now)
        for kind, truth in (("Ready", Truth.FALSE), ("Reconciling", Truth.FALSE), ("Stalled", Truth.TRUE))
    )
    return policy.status.model_copy(update={"observed_generation": policy.generation, "message": message, "conditions": conditions})


def event_of(policy: Unreadable) -> tuple[Event, ...]:
    """The event of the moment in which the policy became unreadable; none later on."""
    if any(one.type == "Stalled" and one.reason == REASON and one.status is Truth.TRUE for one in policy.status.conditions):
        return ()
    return (Event(policy.name, Severity.WARNING, REASON, policy.problems[0]),)


def _condition(kind: str, truth: Truth, message: str, policy: Unreadable, before: Condition | None, now: datetime) -> Condition:
    since = before.last_transition_time if before is not None and before.status is truth else format_time(now)
    return Condition(
        type=kind, status=truth, observed_generation=policy.generation, last_transition_time=since, reason=REASON, message=message
    )
