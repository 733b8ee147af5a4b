"""What may be asked of a rollout now, judged by its policy's status; and whether it has been done. Pure."""

from __future__ import annotations

from clew_crds.revision import Action, RolloutRequest
from clew_crds.rollout import OnFailure

from clew_cli.errors import WRONG, CommandError
from clew_cli.seen import SeenPolicy
from clew_cli.steps import Progress, given_up, rolled_out, steps


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
    """Whether the request was carried out. Raises ``CommandError`` where it never will be: the policy was edited meanwhile."""
    if policy.status.rollout.handled_request == request.id:
        return True
    if policy.status.revision != revision:
        raise CommandError(f"{policy.metadata.name} was edited meanwhile: the request on {revision} came too late", WRONG)
    return False


def _no_promote(policy: SeenPolicy) -> str:
    step = next((step for step in steps(policy) if step.number == policy.status.rollout.step), None)
    if step is None or rolled_out(policy) or given_up(policy):
        return _not_under_way(policy)
    where = f"step {step.number} of {len(policy.spec.rollout.steps)}"
    if step.progress is Progress.PAUSED:
        return f"{where} is paused by spec.rollout.paused"
    if step.progress is Progress.PROMOTED:
        return f"{where} was promoted already"
    if step.progress is not Progress.SOAKING:
        return f"{where} does not soak yet: {step.healthy} of its {step.target} nodes are healthy"
    return ""


def _no_abort(policy: SeenPolicy) -> str:
    if rolled_out(policy):
        return _not_under_way(policy)
    failed = given_up(policy)
    if failed and (policy.status.rollout.aborted or policy.spec.rollout.on_failure is OnFailure.ROLLBACK):
        return _not_under_way(policy)
    return ""


def _no_retry(policy: SeenPolicy) -> str:
    if given_up(policy):
        return ""
    if rolled_out(policy):
        return _not_under_way(policy)
    return f"{policy.status.revision} is being rolled out; it has neither failed nor been aborted"


def _not_under_way(policy: SeenPolicy) -> str:
    status = policy.status
    if rolled_out(policy):
        return f"{status.revision} is rolled out"
    if given_up(policy):
        return f"{status.revision} {'was aborted' if status.rollout.aborted else 'failed'}, and is not rolled out any further"
    return f"the rollout of {status.revision} has not begun"
