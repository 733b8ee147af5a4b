"""``TracingRevision``: what nodes enforce of a policy, frozen. Made by the operator, owned by its policy, named by its content.

Agents read revisions and never policies, so an edit reaches a node only when the operator points its NodeTracing to the new one.
"""

from __future__ import annotations

import enum
import hashlib
import json
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from clew_crds.base import Whole
from clew_crds.observed import ObjectMeta, Observed, Uid
from clew_crds.policy import API_VERSION, KIND, EnforcedSpec, PolicyName, PolicySpec, TracingPolicy
from clew_crds.rules import Rule

REVISION_KIND = "TracingRevision"
POLICY_LABEL = "clew.dev/policy"
"""Label of a revision: the name of its policy."""

_HASH_DIGITS = 10


class Action(enum.StrEnum):
    """What a person may ask of a rollout."""

    PROMOTE = "Promote"
    ABORT = "Abort"
    RETRY = "Retry"


class RolloutRequest(Observed):
    """What a person asks of the rollout of this revision (``kubectl clew promote|abort|retry``). Each id is carried out once."""

    id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[-A-Za-z0-9]+$")]
    """Unique to this request."""
    action: Action
    """Promote: end the soak of the step. Abort: go back to the stable revision. Retry: try a failed or aborted revision again."""
    step: Annotated[int, Whole(0, 16)] = 0
    """Promote: the step that is meant, so that a request that comes late promotes no other."""


class RevisionSpec(Observed):
    """Of which policy it is, and what is enforced."""

    RULES: ClassVar = (Rule("self == oldSelf", "what it was made with: a revision never changes, and a changed policy gets another"),)

    policy: PolicyName
    """The policy's name."""
    policy_uid: Uid = ""
    """The policy's uid: a policy that was deleted and made again is another one."""
    enforced: EnforcedSpec
    """The policy's spec without rollout."""


class TracingRevision(Observed):
    """What nodes enforce of a policy: its spec without rollout, immutable. The operator makes it; do not edit it."""

    api_version: Literal["clew.dev/v1alpha1"]
    """Always clew.dev/v1alpha1."""
    kind: Literal["TracingRevision"]
    """Always TracingRevision."""
    metadata: ObjectMeta
    """The name is the policy's, a dash, and the hash of what is enforced."""
    spec: RevisionSpec
    """Of which policy it is, and what is enforced. Immutable."""
    request: RolloutRequest | None = None
    """What a person asks of its rollout."""

    def as_policy(self) -> TracingPolicy:
        """The policy as this revision has it, with the default rollout: what an agent enforces."""
        spec = self.spec.enforced.model_dump(mode="json", by_alias=True, exclude_none=True)
        return TracingPolicy.model_validate({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": self.spec.policy}, "spec": spec})


def enforced(spec: PolicySpec) -> EnforcedSpec:
    """A policy's spec without ``rollout``."""
    return EnforcedSpec.model_validate(spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"rollout"}))


def revision_name(policy: str, spec: EnforcedSpec) -> str:
    """The name of the revision that enforces ``spec``: equal specs, whatever defaults they spell out, have equal names."""
    content = json.dumps(spec.model_dump(mode="json", by_alias=True, exclude_none=True), sort_keys=True, separators=(",", ":"))
    return f"{policy}-{hashlib.sha256(content.encode()).hexdigest()[:_HASH_DIGITS]}"
