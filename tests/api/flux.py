"""Flux in tests: the manifests of docs/gitops.md, a git repository that its controllers fetch, and reconciling at once."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from clew_lab.git_server import Repository

from tests.api.definitions import CHECKOUT
from tests.api.operators import Document, Rig

SOURCES = ("source.toolkit.fluxcd.io", "v1", "gitrepositories")
KUSTOMIZATIONS = ("kustomize.toolkit.fluxcd.io", "v1", "kustomizations")
NAME = "tracing"

_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_URL = "https://git.example.com/tracing"
_FILE = "policies/checkout.yaml"


def manifests() -> tuple[str, Document]:
    """What docs/gitops.md gives: the objects of Flux as text, and the policy."""
    source, policy = _BLOCK.findall((CHECKOUT / "docs/gitops.md").read_text())
    document = yaml.safe_load(policy)
    assert isinstance(document, dict)
    return source, document


def condition(document: Document, kind: str) -> Document:
    """The condition of that type; empty where there is none."""
    found = (one for one in document.get("status", {}).get("conditions", ()) if one["type"] == kind)
    return next(found, {})


@dataclass
class Flux:
    """A cluster in which Flux takes a policy from a repository, and is given so many seconds for each thing that it does."""

    rig: Rig
    repository: Repository
    patience: int = 60
    _tokens: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def install(self) -> None:
        """Start Flux, and give it the source and the Kustomization."""
        self.rig.cluster.start_flux()
        self.rig.cluster.kubectl("create", "namespace", "flux-system")
        source, _ = manifests()
        assert _URL in source
        self.rig.cluster.kubectl("apply", "--server-side", "-f-", input=source.replace(_URL, self.repository.url))

    def commit(self, policy: Document) -> str:
        """Commit the policy; the revision as Flux calls it."""
        return f"main@sha1:{self.repository.commit(_FILE, yaml.safe_dump(policy))}"

    def revert(self) -> str:
        """Take the last commit back; the revision as Flux calls it."""
        return f"main@sha1:{self.repository.revert()}"

    def fetch(self, revision: str) -> None:
        """Have Flux look at the repository at once; return when it has that revision. The Kustomization follows by itself."""
        token = self._ask(SOURCES)
        self.rig.object_until(
            SOURCES,
            NAME,
            lambda one: (
                one["status"].get("lastHandledReconcileAt") == token and one["status"].get("artifact", {}).get("revision") == revision
            ),
            self.patience,
        )

    def checking(self, revision: str) -> None:
        """Return when Flux has applied that revision, and looks whether what it applied is healthy."""
        said = f"Running health checks for revision {revision} with a timeout of 2h0m0s"
        self.rig.object_until(KUSTOMIZATIONS, NAME, lambda one: condition(one, "Healthy").get("message") == said, self.patience)

    def judged(self, revision: str, ready: str, reason: str) -> Document:
        """The Kustomization as soon as it says that it is Ready or not, for that reason, as to that revision."""

        def holds(one: Document) -> bool:
            said = condition(one, "Ready")
            attempted = one.get("status", {}).get("lastAttemptedRevision")
            return (attempted, said.get("status"), said.get("reason")) == (revision, ready, reason)

        return self.rig.object_until(KUSTOMIZATIONS, NAME, holds, self.patience)

    def reconcile(self) -> Document:
        """Have Flux apply again what it fetched last; the Kustomization when it has done so, and judged it."""
        token = self._ask(KUSTOMIZATIONS)

        def holds(one: Document) -> bool:
            return one["status"].get("lastHandledReconcileAt") == token and condition(one, "Ready").get("status") in ("True", "False")

        return self.rig.object_until(KUSTOMIZATIONS, NAME, holds, self.patience)

    def _ask(self, kind: tuple[str, str, str]) -> str:
        token = f"request-{next(self._tokens)}"
        body: dict[str, Any] = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
        what = f"{kind[2]}.{kind[0]}/{NAME}"
        self.rig.cluster.kubectl("patch", what, "-n", "flux-system", "--type=merge", "-p", json.dumps(body))
        return token
