"""What may be asked of a rollout now, judged by its policy's status; and whether it has been done. Pure."""

from __future__ import annotations

from clew_crds.revision import Action, RolloutRequest

from clew_cli.errors import WRONG, CommandError
from clew_cli.seen import SeenPolicy
from clew_cli.steps import Progress, given_up, rolled_out, steps
from clew_cli.terminal import one_line


def decide(action: Action, policy: SeenPolicy, identifier: str) -> tuple[str, RolloutRequest]:
    """The revision to write the request on, and the request. Raises ``CommandError`` where there is nothing to do."""
    revision = policy.status.revision
    name = policy.metadata.name
    if revision is None:
        raise CommandError(f"{name} has no revision yet: the operator has not seen it. Does it run?", WRONG)
    if policy.status.observed_generation < policy.metadata.generation:
        raise CommandError(f"the operator has not taken up the newest edit of {name} yet; look again with `status {name}`", WRONG)
    refusal = {Action.PROMOTE: _no_promote, Action.ABORT: _no_abort, Action.RETRY: _no_retry}[action](policy)
    if refusal:
        raise CommandError(f"nothing to {action.lower()}: {refusal}", WRONG)
    step = policy.status.rollout.step if action is Action.PROMOTE else 0
    return revision, RolloutRequest(id=identifier, action=action, step=step)


def asked(policy: str, request: RolloutRequest) -> str:
    """The sentence on a request that was written."""
    return {
        Action.PROMOTE: f"asked to end the soak of step {request.step} of {policy}",
        Action.ABORT: f"asked to abort the rollout of {policy}",
        Action.RETRY: f"asked to try the newest revision of {policy} again",
    }[request.action]


def done(policy: SeenPolicy, revision: str, request: RolloutRequest) -> bool:
    """Whether the operator has taken the request up, and done it. Raises ``CommandError`` where it has not, or never will."""
    rollout = policy.status.rollout
    if policy.status.revision != revision:
        raise CommandError(f"{policy.metadata.name} was edited meanwhile: the request on {revision} came too late", WRONG)
    if rollout.handled_request != request.id:
        return False
    effect = {
        Action.PROMOTE: rolled_out(policy) or rollout.step > request.step or rollout.promoted_step == request.step,
        Action.ABORT: given_up(policy) and rollout.aborted,
        Action.RETRY: not given_up(policy),
    }
    if not effect[request.action]:
        raise CommandError(f"the operator has taken it up, and it had no effect: {one_line(policy.status.message)}", WRONG)
    return True


def _no_promote(policy: SeenPolicy) -> str:
    step = next((step for step in steps(policy) if step.number == policy.status.rollout.step), None)
    if step is None or rolled_out(policy) or given_up(policy):
        return _not_under_way(policy)
    where = f"step {step.number} of {len(policy.spec.rollout.steps)}"
    if policy.spec.rollout.paused:
        return f"{where} is paused; set spec.rollout.paused to false first"
    if step.progress is Progress.PROMOTED:
        return f"{where} was promoted already"
    return f"{where} has no soak" if step.soak == "0s" else ""


def _no_abort(policy: SeenPolicy) -> str:
    if rolled_out(policy):
        return _not_under_way(policy)
    if given_up(policy) and (policy.status.rollout.aborted or not policy.spec.rollout.holds_failed):
        return f"{_not_under_way(policy)}; its nodes go back by themselves"
    return ""


def _no_retry(policy: SeenPolicy) -> str:
    if rolled_out(policy):
        return _not_under_way(policy)
    if not given_up(policy):
        return f"{policy.status.revision} is being rolled out; it has neither failed nor been aborted"
    return "the rollout is paused; set spec.rollout.paused to false first" if policy.spec.rollout.paused else ""


def _not_under_way(policy: SeenPolicy) -> str:
    status = policy.status
    if rolled_out(policy):
        return f"{status.revision} is rolled out"
    if given_up(policy):
        return f"{status.revision} {'was aborted' if status.rollout.aborted else 'failed'}, and is not rolled out any further"
    return f"the rollout of {status.revision} has not begun"
