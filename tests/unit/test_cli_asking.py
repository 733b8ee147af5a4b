"""What may be asked of a rollout, by its policy's status; and when a request is done."""

import pytest
from clew_cli.asking import asked, decide, done
from clew_cli.errors import CommandError
from clew_cli.seen import SeenPolicy
from clew_crds.revision import Action, RolloutRequest

from tests.unit.made_status import NEW, OLD, conditions, policy, soaking

ROLLED_OUT = policy(revision=NEW, stableRevision=NEW, rollout={"step": 3}, conditions=conditions("Ready", "RolledOut"))
STEPS_SHOWN = "nothing to promote: step 2 of 3"


@pytest.mark.parametrize(
    ("action", "of", "step"),
    [
        (Action.PROMOTE, soaking(), 2),
        (Action.PROMOTE, soaking(promotedStep=1), 2),
        (Action.PROMOTE, soaking(soakStartedTime=None), 2),
        (Action.ABORT, soaking(), 0),
        (Action.ABORT, soaking({"paused": True}, failedRevision=NEW), 0),
        (Action.ABORT, soaking(soakStartedTime=None, step=0), 0),
        (Action.ABORT, soaking({"paused": True}), 0),
        (Action.ABORT, soaking({"onFailure": "Pause"}, failedRevision=NEW), 0),
        (Action.RETRY, soaking(failedRevision=NEW), 0),
        (Action.RETRY, soaking(failedRevision=NEW, aborted=True), 0),
    ],
)
def test_what_is_asked(action: Action, of: SeenPolicy, step: int) -> None:
    assert decide(action, of, "id-1") == (NEW, RolloutRequest(id="id-1", action=action, step=step))


@pytest.mark.parametrize(
    ("action", "of", "sentence"),
    [
        (Action.PROMOTE, policy(), "shop has no revision yet: the operator has not seen it. Does it run?"),
        (Action.RETRY, soaking(generation=4), "the operator has not taken up the newest edit of shop yet; look again with `status shop`"),
        (Action.PROMOTE, ROLLED_OUT, f"nothing to promote: {NEW} is rolled out"),
        (Action.PROMOTE, soaking(step=0), f"nothing to promote: the rollout of {NEW} has not begun"),
        (Action.PROMOTE, soaking(step=3), "nothing to promote: step 3 of 3 has no soak"),
        (Action.PROMOTE, soaking(promotedStep=2), f"{STEPS_SHOWN} was promoted already"),
        (Action.PROMOTE, soaking({"paused": True}), f"{STEPS_SHOWN} is paused; set spec.rollout.paused to false first"),
        (Action.PROMOTE, soaking(failedRevision=NEW), f"nothing to promote: {NEW} failed, and is not rolled out any further"),
        (Action.ABORT, ROLLED_OUT, f"nothing to abort: {NEW} is rolled out"),
        (
            Action.ABORT,
            soaking(failedRevision=NEW),
            f"nothing to abort: {NEW} failed, and is not rolled out any further; its nodes go back by themselves",
        ),
        (
            Action.ABORT,
            soaking({"onFailure": "Pause"}, failedRevision=NEW, aborted=True),
            f"nothing to abort: {NEW} was aborted, and is not rolled out any further; its nodes go back by themselves",
        ),
        (Action.RETRY, ROLLED_OUT, f"nothing to retry: {NEW} is rolled out"),
        (
            Action.RETRY,
            soaking({"paused": True}, failedRevision=NEW),
            "nothing to retry: the rollout is paused; set spec.rollout.paused to false first",
        ),
        (Action.RETRY, soaking(), f"nothing to retry: {NEW} is being rolled out; it has neither failed nor been aborted"),
        (
            Action.RETRY,
            soaking(failedRevision=OLD),
            f"nothing to retry: {NEW} is being rolled out; it has neither failed nor been aborted",
        ),
    ],
)
def test_what_is_refused(action: Action, of: SeenPolicy, sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        decide(action, of, "id-1")
    assert (str(refused.value), refused.value.status) == (sentence, 1)


@pytest.mark.parametrize(
    ("action", "of"),
    [
        (Action.PROMOTE, soaking(handledRequest="id-2", promotedStep=2)),
        (Action.PROMOTE, soaking(handledRequest="id-2", step=3)),
        (Action.PROMOTE, policy(revision=NEW, stableRevision=NEW, rollout={"handledRequest": "id-2"})),
        (Action.ABORT, soaking(handledRequest="id-2", failedRevision=NEW, aborted=True)),
        (Action.RETRY, soaking(handledRequest="id-2")),
    ],
)
def test_when_it_is_done(action: Action, of: SeenPolicy) -> None:
    assert done(of, NEW, RolloutRequest(id="id-2", action=action, step=2 if action is Action.PROMOTE else 0))


@pytest.mark.parametrize(
    ("action", "of"),
    [
        (Action.PROMOTE, soaking(handledRequest="id-2", failedRevision=NEW)),
        (Action.ABORT, soaking(handledRequest="id-2", failedRevision=NEW)),
        (Action.ABORT, soaking(handledRequest="id-2")),
        (Action.RETRY, soaking(handledRequest="id-2", failedRevision=NEW)),
    ],
)
def test_when_it_was_taken_up_and_came_to_nothing(action: Action, of: SeenPolicy) -> None:
    said = "^the operator has taken it up, and it had no effect: Step 2 of 3: 3 of 3 nodes are ready$"
    with pytest.raises(CommandError, match=said):
        done(of, NEW, RolloutRequest(id="id-2", action=action, step=2 if action is Action.PROMOTE else 0))


def test_when_it_is_not_taken_up() -> None:
    request = RolloutRequest(id="id-2", action=Action.PROMOTE, step=2)
    assert not done(soaking(handledRequest="id-1", promotedStep=2), NEW, request)
    with pytest.raises(CommandError, match=f"^shop was edited meanwhile: the request on {NEW} came too late$"):
        done(policy(revision=OLD), NEW, request)


def test_what_is_said_of_it() -> None:
    sentences = [asked("shop", RolloutRequest(id="x", action=action, step=2)) for action in Action]
    assert sentences == [
        "asked to end the soak of step 2 of shop",
        "asked to abort the rollout of shop",
        "asked to try the newest revision of shop again",
    ]
