"""The kinds of objects that the operator reads or writes: one table. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from clew_crds.node import NODE_KIND
from clew_crds.policy import API_VERSION, KIND
from clew_crds.revision import REVISION_KIND

FIELD_MANAGER = "clew-operator"
"""By this name the API server knows which fields are the operator's."""

_CLEW, _CLEW_VERSION = API_VERSION.split("/")


class Kind(enum.Enum):
    """A kind that the operator reads or writes: group, version, name in URLs, kind, and whether it lives in namespaces."""

    POLICY = (_CLEW, _CLEW_VERSION, "tracingpolicies", KIND, False)
    REVISION = (_CLEW, _CLEW_VERSION, "tracingrevisions", REVISION_KIND, False)
    TRACING = (_CLEW, _CLEW_VERSION, "nodetracings", NODE_KIND, False)
    NODE = ("", "v1", "nodes", "Node", False)
    POD = ("", "v1", "pods", "Pod", True)
    NAMESPACE = ("", "v1", "namespaces", "Namespace", False)
    LEASE = ("coordination.k8s.io", "v1", "leases", "Lease", True)
    EVENT = ("events.k8s.io", "v1", "events", "Event", True)

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return self.value[0]

    @property
    def version(self) -> str:
        """The version within the group."""
        return self.value[1]

    @property
    def plural(self) -> str:
        """The name in URLs."""
        return self.value[2]

    @property
    def api_version(self) -> str:
        """Group and version as objects carry them."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def namespaced(self) -> bool:
        """Whether objects live in namespaces."""
        return self.value[4]

    @property
    def kind(self) -> str:
        """The kind as objects carry it."""
        return self.value[3]


def key_of(document: Mapping[str, Any]) -> str:
    """What an object is known by among those of its kind: its name, or namespace and name."""
    metadata = document["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])
