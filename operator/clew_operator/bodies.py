"""The objects that the operator writes, as the API server takes them. Pure: what is written is decided elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from clew_crds.node import Assignment
from clew_crds.revision import TracingRevision
from clew_crds.status import PolicyStatus

from clew_operator.kinds import FIELD_MANAGER, Kind
from clew_operator.planning.world import Event

NOTE_MAX = 1024
"""Characters of an event's note that Kubernetes takes."""


def revision_body(revision: TracingRevision) -> dict[str, Any]:
    """A TracingRevision to create: without the fields that the API server sets, and without a request."""
    document = revision.document()
    owners = [dict(one) for one in revision.metadata.owner_references]
    metadata = {"name": revision.metadata.name, "labels": dict(revision.metadata.labels), "ownerReferences": owners}
    return {**_head(Kind.REVISION), "metadata": metadata, "spec": document["spec"]}


def tracing_body(node: str, node_uid: str, entries: tuple[Assignment, ...]) -> dict[str, Any]:
    """What a node shall enforce, owned by the node."""
    owner = {"apiVersion": Kind.NODE.api_version, "kind": Kind.NODE.kind, "name": node, "uid": node_uid}
    spec = {"policies": [one.document() for one in entries]}
    return {**_head(Kind.TRACING), "metadata": {"name": node, "ownerReferences": [owner]}, "spec": spec}


def status_body(policy: str, uid: str, status: PolicyStatus) -> dict[str, Any]:
    """A policy's status. With the uid, since a policy that was deleted and made again is another one."""
    return {**_head(Kind.POLICY), "metadata": {"name": policy, "uid": uid}, "status": status.document()}


def event_body(event: Event, uid: str, identity: str, now: datetime) -> dict[str, Any]:
    """A Kubernetes event about a policy. Events of objects without a namespace live in ``default``."""
    moment = now.astimezone(UTC)
    return {
        **_head(Kind.EVENT),
        "metadata": {"name": f"{event.policy}.{int(moment.timestamp() * 1e6):x}.{event.reason.lower()}", "namespace": "default"},
        "eventTime": _micro(moment),
        "type": event.severity.value,
        "reason": event.reason,
        "action": "Rollout",
        "note": event.message if len(event.message) <= NOTE_MAX else event.message[: NOTE_MAX - 1] + "…",
        "regarding": {"apiVersion": Kind.POLICY.api_version, "kind": Kind.POLICY.kind, "name": event.policy, "uid": uid},
        "reportingController": f"clew.dev/{FIELD_MANAGER}",
        "reportingInstance": identity,
    }


def lease_body(
    namespace: str, name: str, *, holder: str, seconds: int, acquired: datetime, renewed: datetime, transitions: int, version: str | None
) -> dict[str, Any]:
    """The lease that the leader holds. ``version``: the resourceVersion that it replaces; None for a new one."""
    metadata = {"name": name, "namespace": namespace} | ({"resourceVersion": version} if version is not None else {})
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": seconds,
        "acquireTime": _micro(acquired),
        "renewTime": _micro(renewed),
        "leaseTransitions": transitions,
    }
    return {**_head(Kind.LEASE), "metadata": metadata, "spec": spec}


def _head(kind: Kind) -> dict[str, Any]:
    return {"apiVersion": kind.api_version, "kind": kind.kind}


def _micro(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
