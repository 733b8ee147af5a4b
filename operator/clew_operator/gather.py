"""From objects as the API server sends them to the values that the planner decides by. Pure.

Reading is done once an object, when it changes; what a decision does not depend on (images of nodes, managed fields) is let go of here.
A policy that cannot be read is a value, too: ``Unreadable`` says why, and ``unreadable.py`` what happens to it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clew_crds.node import NodeSpec, NodeTracing
from clew_crds.policy import TracingPolicy
from clew_crds.problems import problems
from clew_crds.revision import TracingRevision
from clew_crds.status import PolicyStatus
from pydantic import ValidationError

from clew_operator.placement import Pod, PodGroups
from clew_operator.planning.world import NodeFacts, PolicyFacts, World

_LOG = logging.getLogger("clew.gather")
_POLICY_METADATA = ("name", "uid", "generation", "creationTimestamp", "deletionTimestamp")
_OWN_METADATA = ("name", "uid", "generation", "labels", "ownerReferences", "creationTimestamp", "deletionTimestamp")
ENDED_PODS = "status.phase!=Succeeded,status.phase!=Failed,spec.nodeName!="
"""Field selector of pods that run somewhere."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A policy whose spec the models refuse, though the API server let it in: it was made for another version of Clew."""

    name: str
    uid: str
    generation: int
    problems: tuple[str, ...]
    status: PolicyStatus


def read_policy(document: Mapping[str, Any]) -> PolicyFacts | Unreadable:
    """A TracingPolicy and its status."""
    metadata = document["metadata"]
    status = _read_status(metadata["name"], document.get("status") or {})
    kept = {field: metadata[field] for field in _POLICY_METADATA if field in metadata}
    try:
        policy = TracingPolicy.model_validate(
            {"apiVersion": document.get("apiVersion"), "kind": document.get("kind"), "metadata": kept, "spec": document.get("spec")}
        )
    except ValidationError as error:
        found = tuple(problems(TracingPolicy, error))
        return Unreadable(metadata["name"], metadata.get("uid", ""), metadata.get("generation", 0), found, status)
    return PolicyFacts(policy, status)


def read_revision(document: Mapping[str, Any]) -> TracingRevision | None:
    """A TracingRevision; None for one that cannot be read, which is as good as none: a node that needs it gets another."""
    try:
        return TracingRevision.model_validate({**document, "metadata": _own_metadata(document)})
    except ValidationError as error:
        _LOG.error("a revision cannot be read", extra={"revision": document["metadata"]["name"], "problem": _first(TracingRevision, error)})
        return None


def read_tracing(document: Mapping[str, Any]) -> NodeTracing:
    """A NodeTracing. A status that cannot be read counts as none: no data is not health."""
    whole = {**document, "metadata": _own_metadata(document)}
    try:
        return NodeTracing.model_validate(whole)
    except ValidationError as error:
        name = document["metadata"]["name"]
        _LOG.error("a NodeTracing cannot be read", extra={"node": name, "problem": _first(NodeTracing, error)})
    try:
        spec = NodeSpec.model_validate(document.get("spec") or {})
    except ValidationError:
        spec = NodeSpec()
    return NodeTracing.model_validate({**{key: whole[key] for key in ("apiVersion", "kind", "metadata")}, "spec": spec})


def read_node(document: Mapping[str, Any]) -> NodeFacts | None:
    """A node; None for one that no agent can run on (another system than Linux)."""
    metadata, status = document["metadata"], document.get("status") or {}
    labels, info = metadata.get("labels") or {}, status.get("nodeInfo") or {}
    if (labels.get("kubernetes.io/os") or info.get("operatingSystem") or "linux") != "linux":
        return None
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ())
    zone = labels.get("topology.kubernetes.io/zone", "")
    return NodeFacts(metadata["name"], metadata["uid"], ready, zone, info.get("kernelVersion", ""))


def read_pod(document: Mapping[str, Any]) -> Pod | None:
    """A pod; None for one that runs nowhere, or no longer."""
    node = (document.get("spec") or {}).get("nodeName")
    if not node or (document.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return None
    metadata = document["metadata"]
    return Pod(metadata["namespace"], tuple(sorted((metadata.get("labels") or {}).items())), node)


def read_namespace(document: Mapping[str, Any]) -> dict[str, str]:
    """A namespace's labels."""
    return dict(document["metadata"].get("labels") or {})


def make_world(
    now: datetime,
    policies: Mapping[str, PolicyFacts | Unreadable],
    revisions: Mapping[str, TracingRevision],
    nodes: Mapping[str, NodeFacts],
    tracings: Mapping[str, NodeTracing],
    pods: PodGroups,
    namespaces: Mapping[str, Mapping[str, str]],
) -> World:
    """The world that a decision is made in."""
    readable = {name: one for name, one in policies.items() if isinstance(one, PolicyFacts)}
    selection = pods.selected([one.policy for one in readable.values()], namespaces)
    return World(
        now=now,
        policies=readable,
        revisions=revisions,
        nodes=nodes,
        tracings=tracings,
        placements=selection.placements,
        overlaps=selection.overlaps,
        unreadable=frozenset(policies.keys() - readable.keys()),
    )


def _own_metadata(document: Mapping[str, Any]) -> dict[str, Any]:
    return {field: document["metadata"][field] for field in _OWN_METADATA if field in document["metadata"]}


def _read_status(policy: str, document: Mapping[str, Any]) -> PolicyStatus:
    try:
        return PolicyStatus.model_validate(document)
    except ValidationError as error:
        _LOG.error("a policy's status cannot be read", extra={"policy": policy, "problem": _first(PolicyStatus, error)})
        return PolicyStatus()


def _first(model: type[TracingRevision] | type[NodeTracing] | type[PolicyStatus], error: ValidationError) -> str:
    return problems(model, error)[0]
