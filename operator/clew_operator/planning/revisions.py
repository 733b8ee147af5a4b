"""Which TracingRevisions are to be made, and which are no longer needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from clew_crds.observed import ObjectMeta
from clew_crds.policy import API_VERSION, KIND, TracingPolicy
from clew_crds.revision import POLICY_LABEL, REVISION_KIND, RevisionSpec, TracingRevision, enforced, revision_name

REVISION_HISTORY = 5
"""Revisions of a policy that are kept though nothing uses them."""


def newest(policy: TracingPolicy) -> TracingRevision:
    """The revision that the policy's spec asks for, as it is made: owned by the policy, so that it goes with it."""
    name, uid = policy.metadata.name, policy.metadata.uid or ""
    spec = enforced(policy.spec)
    owner = {"apiVersion": API_VERSION, "kind": KIND, "name": name, "uid": uid, "controller": True}
    metadata = ObjectMeta(name=revision_name(name, spec), labels={POLICY_LABEL: name}, owner_references=(owner,))
    return TracingRevision.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": REVISION_KIND,
            "metadata": metadata,
            "spec": RevisionSpec(policy=name, policy_uid=uid, enforced=spec),
        }
    )


def by_policy(revisions: Mapping[str, TracingRevision]) -> dict[str, list[TracingRevision]]:
    """The revisions of each policy name, by their names."""
    found: dict[str, list[TracingRevision]] = {}
    for name in sorted(revisions):
        found.setdefault(revisions[name].spec.policy, []).append(revisions[name])
    return found


def owned(revisions: Iterable[TracingRevision], uid: str) -> dict[str, TracingRevision]:
    """Those that belong to the policy of this uid, not to one of the same name that was deleted, and are not being deleted."""
    return {
        revision.metadata.name: revision
        for revision in revisions
        if revision.spec.policy_uid == uid and revision.metadata.deletion_timestamp is None
    }


def superfluous(revisions: Iterable[TracingRevision], uid: str, used: Collection[str | None]) -> tuple[str, ...]:
    """Revisions to delete, by name: those of an older policy of the same name, and unused ones beyond the history.

    One of an older policy can stand in the way of a new one of the same name and content, so it does not wait for Kubernetes'
    garbage collector.
    """
    present = [revision for revision in revisions if revision.metadata.deletion_timestamp is None]
    foreign = [revision.metadata.name for revision in present if revision.spec.policy_uid != uid]
    unused = [revision for revision in present if revision.spec.policy_uid == uid and revision.metadata.name not in used]
    unused.sort(key=lambda revision: (revision.metadata.creation_timestamp or "", revision.metadata.name), reverse=True)
    return tuple(sorted(foreign + [revision.metadata.name for revision in unused[REVISION_HISTORY:]]))
