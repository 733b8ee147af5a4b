"""What the operator has told this node: the policies of its NodeTracing, each as of a revision. Pure.

Revisions are immutable, so one that was read is never read again, and what it says is the same object as long as it is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clew_crds import TracingPolicy
from clew_crds.node import Assignment, NodeTracing, State
from clew_crds.problems import problems
from clew_crds.revision import TracingRevision
from pydantic import ValidationError

from clew_agent.cluster import Object


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a report says of a policy."""

    state: State
    reason: str
    message: str


Revision = TracingPolicy | Verdict
"""A revision as a policy, or why it cannot be one."""


@dataclass(frozen=True, slots=True)
class Told:
    """NodeTracing's spec at one ``generation``, with what is known of its revisions; one that is not here is still to be read.

    ``uid`` is empty while there is no NodeTracing for this node.
    """

    uid: str = ""
    generation: int = 0
    assignments: tuple[Assignment, ...] = ()
    revisions: Mapping[str, Revision] | None = None

    def revision(self, name: str) -> Revision | None:
        """What a revision says; None where it is not known yet."""
        return (self.revisions or {}).get(name)


def read_tracing(item: Object) -> NodeTracing:
    """The node's object. Raises ``ValidationError``."""
    return NodeTracing.model_validate({**item, "status": {}})


def read_revision(item: Object) -> Revision:
    """A revision as the policy that it is, or why this agent cannot read it: a newer operator may know more than it does."""
    try:
        return TracingRevision.model_validate(item).as_policy()
    except ValidationError as error:
        found = problems(TracingRevision, error)
        message = f"this agent does not understand the revision: {'; '.join(found[:3])}"
        return Verdict(State.UNSUPPORTED, "RevisionNotUnderstood", message)


def to_enforce(told: Told, before: Sequence[TracingPolicy]) -> tuple[TracingPolicy, ...]:
    """The policies to enforce: those of the revisions told. Where one cannot be read (yet), the policy stays as it was ``before``."""
    known = {policy.metadata.name: policy for policy in before}
    found = []
    for assignment in told.assignments:
        revision = told.revision(assignment.revision)
        policy = revision if isinstance(revision, TracingPolicy) else known.get(assignment.name)
        if policy is not None:
            found.append(policy)
    return tuple(found)
