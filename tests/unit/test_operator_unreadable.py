"""What a policy is told that cannot be read, and that it is told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from clew_crds.status import PolicyStatus, RolloutStatus
from clew_operator.gather import Unreadable
from clew_operator.planning.world import Event, Severity
from clew_operator.unreadable import event_of, status_of

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
BEFORE = PolicyStatus(observed_generation=1, revision="shop-1", stable_revision="shop-1", rollout=RolloutStatus(step=1, steps=1))
PROBLEMS = ('spec.sampling.ratio: "2" is not allowed: a decimal string from 0 to 1, such as "0.25"', "spec.colour: unknown field")


def test_it_is_stalled_with_the_sentences_and_keeps_its_memory() -> None:
    policy = Unreadable("shop", "u1", 2, PROBLEMS, BEFORE)
    status = status_of(policy, NOW)
    assert status.document() == {
        **BEFORE.document(),
        "observedGeneration": 2,
        "message": "; ".join(PROBLEMS),
        "conditions": [
            {
                "type": kind,
                "status": truth,
                "observedGeneration": 2,
                "lastTransitionTime": "2026-11-25T10:00:00Z",
                "reason": "InvalidSpec",
                "message": "; ".join(PROBLEMS),
            }
            for kind, truth in (("Ready", "False"), ("Reconciling", "False"), ("Stalled", "True"))
        ],
    }
    assert event_of(policy) == (Event("shop", Severity.WARNING, "InvalidSpec", PROBLEMS[0]),)


def test_later_it_says_the_same_and_nothing_is_written() -> None:
    first = status_of(Unreadable("shop", "u1", 2, PROBLEMS, BEFORE), NOW)
    later = Unreadable("shop", "u1", 2, PROBLEMS, first)
    assert status_of(later, NOW + timedelta(hours=1)) == first
    assert event_of(later) == ()


def test_long_messages_are_cut() -> None:
    status = status_of(Unreadable("shop", "u1", 2, ("spec.x: unknown field",) * 100, BEFORE), NOW)
    assert len(status.message) == 1024
    assert status.message.endswith("…")
