"""The three CustomResourceDefinitions: their names, what ``kubectl get`` prints of them, and the schemas of their models.

Tetragon has a kind ``TracingPolicy`` in the group ``cilium.io``, with the short name ``tgtp``. Both can be installed: the names of the
definitions have the group in them, and no short name here is Tetragon's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import BaseModel

from clew_crds.base import Text
from clew_crds.node import NODE_KIND, NodeSpec, NodeStatus, NodeTracing
from clew_crds.policy import API_VERSION, KIND, Metadata, PolicySpec, TracingPolicy
from clew_crds.revision import REVISION_KIND, RevisionSpec, RolloutRequest, TracingRevision
from clew_crds.rules import VALIDATIONS, Rule
from clew_crds.schema import Schema, people_write, programs_write
from clew_crds.status import PolicyStatus

GROUP, VERSION = API_VERSION.split("/")
CATEGORY = "clew"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``; those with ``wide`` come with ``-o wide`` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False

    def document(self) -> dict[str, object]:
        """As the API server takes it."""
        entry: dict[str, object] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return entry | {"priority": 1} if self.wide else entry


UNSEEN = {"observedGeneration": 0}
"""The status of a policy that the operator has not seen yet. By kstatus an object without any status is in order, so that Flux, which
looks at once, would call a new policy healthy (docs/decisions/007-no-defaults-in-the-schema.md)."""

AGE = Column("AGE", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the API. ``parts`` are the schemas of its fields beside apiVersion, kind and metadata."""

    name: str
    plural: str
    short: str
    model: type[BaseModel]
    parts: dict[str, Schema]
    columns: tuple[Column, ...]
    metadata: Schema = field(default_factory=lambda: {"type": "object"})
    rules: list[dict[str, str]] = field(default_factory=list)

    @property
    def definition_name(self) -> str:
        """The qualified name, such as ``tracingpolicies.clew.dev``."""
        return f"{self.plural}.{GROUP}"


_NAME_FIELD = Metadata.model_fields["name"]
[_NAME] = [note for note in _NAME_FIELD.metadata if isinstance(note, Text)]
_NAME_SCHEMA = {"description": _NAME_FIELD.description, "type": "string", "pattern": _NAME.pattern, "maxLength": _NAME.max_length}

KINDS = (
    Kind(
        KIND,
        "tracingpolicies",
        "ctp",
        TracingPolicy,
        {"spec": people_write(PolicySpec), "status": programs_write(PolicyStatus) | {"default": UNSEEN}},
        (
            Column("READY", '.status.conditions[?(@.type=="Ready")].status'),
            Column("UPDATED", ".status.nodes.updated", "integer"),
            Column("FAILED", ".status.nodes.failed", "integer"),
            Column("STEP", ".status.step"),
            Column("REVISION", ".status.revision"),
            AGE,
            Column("MESSAGE", ".status.message", wide=True),
        ),
        metadata={"type": "object", "properties": {"name": _NAME_SCHEMA}},
        # Kubernetes takes no rules inside metadata, so the name's sentence is in a rule of whole objects.
        rules=[Rule(_NAME.rule.cel.replace("self.", "self.metadata.name."), _NAME.allowed, "metadata.name").validation()],
    ),
    Kind(
        REVISION_KIND,
        "tracingrevisions",
        "ctr",
        TracingRevision,
        {"spec": people_write(RevisionSpec), "request": people_write(RolloutRequest)},
        (Column("POLICY", ".spec.policy"), Column("REQUEST", ".request.action"), AGE),
    ),
    Kind(
        NODE_KIND,
        "nodetracings",
        "cnt",
        NodeTracing,
        {"spec": programs_write(NodeSpec), "status": programs_write(NodeStatus)},
        (
            Column("AGENT", ".status.agentVersion"),
            Column("KERNEL", ".status.kernel.release"),
            Column("PROPAGATION", ".status.kernel.propagation"),
            Column("MILLICORES", ".status.overhead.cpuMillicores", "integer"),
            Column("MIB", ".status.overhead.memoryMiB", "integer"),
            AGE,
            Column("MESSAGE", ".status.kernel.message", wide=True),
        ),
    ),
)


def definition(kind: Kind) -> dict[str, object]:
    """The CustomResourceDefinition of ``kind``."""
    version: dict[str, object] = {"name": VERSION, "served": True, "storage": True}
    if "status" in kind.parts:
        version["subresources"] = {"status": {}}
    version["additionalPrinterColumns"] = [column.document() for column in kind.columns]
    version["schema"] = {"openAPIV3Schema": object_schema(kind)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.definition_name},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "scope": "Cluster",
            "versions": [version],
        },
    }


def object_schema(kind: Kind) -> Schema:
    """The schema of whole objects. Kubernetes fixes the types of apiVersion, kind and metadata.

    ``spec`` must be there where its model has no default. Server-side apply takes the spec away with its last list entry, so a
    NodeTracing, whose list may become empty, must do without.
    """
    told = {name: info.description or "" for name, info in ((info.alias, info) for info in kind.model.model_fields.values()) if name}
    properties = {
        "apiVersion": {"description": told["apiVersion"], "type": "string"},
        "kind": {"description": told["kind"], "type": "string"},
        "metadata": kind.metadata,
        **{name: schema | {"description": told[name]} for name, schema in kind.parts.items()},
    }
    required = ["spec"] if kind.model.model_fields["spec"].is_required() else []
    root = {"description": kind.model.__doc__, "type": "object", **({"required": required} if required else {}), "properties": properties}
    return root | {VALIDATIONS: kind.rules} if kind.rules else root
