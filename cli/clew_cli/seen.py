"""What the command sees of a cluster: its own kinds, read into the API's models, and all of them together as one value. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from clew_crds.node import NODE_KIND, NodeTracing
from clew_crds.observed import ObjectMeta, Observed
from clew_crds.policy import KIND
from clew_crds.problems import problems
from clew_crds.revision import REVISION_KIND, TracingRevision
from clew_crds.rollout import Rollout
from clew_crds.status import PolicyStatus
from pydantic import ValidationError

from clew_cli.errors import CommandError


class Resource(enum.StrEnum):
    """The kinds of the API, by the names that URLs and access rules have for them."""

    POLICIES = "tracingpolicies"
    REVISIONS = "tracingrevisions"
    NODES = "nodetracings"

    @property
    def kind(self) -> str:
        """The name that one object of it goes by."""
        return {Resource.POLICIES: KIND, Resource.REVISIONS: REVISION_KIND, Resource.NODES: NODE_KIND}[self]


class SeenSpec(Observed):
    """The part of a policy's spec that says how it goes out."""

    rollout: Rollout = Rollout()
    """How a change reaches the nodes."""


class SeenPolicy(Observed):
    """A policy as the commands on rollouts need it. What it traces they need not know, so a newer API does not stop them."""

    metadata: ObjectMeta
    """Name and generation."""
    spec: SeenSpec = SeenSpec()
    """How it goes out."""
    status: PolicyStatus = PolicyStatus()
    """How far it has been rolled out."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Policies and nodes at one moment, by name."""

    policies: Mapping[str, SeenPolicy] = field(default_factory=dict)
    nodes: Mapping[str, NodeTracing] = field(default_factory=dict)


_Kind = TypeVar("_Kind", SeenPolicy, NodeTracing, TracingRevision)


def read(model: type[_Kind], document: Mapping[str, Any]) -> _Kind:
    """An object of the cluster as ``model``. Raises ``CommandError`` for one that this version does not understand."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        name = f"{document.get('kind', 'an object')} {document.get('metadata', {}).get('name', '')}"
        first = problems(model, error)[0]
        raise CommandError(
            f"{name} is not understood: {first}. A newer Clew may have written it: use the kubectl-clew of its version"
        ) from None
