"""GitOps on real nodes: one commit to the repository changes what kernels do, and its revert changes it back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from clew_lab.cluster import Cluster
from clew_lab.git_server import serve_repository

from tests.api.flux import Flux, manifests
from tests.api.operators import Document, rig
from tests.cluster import clew
from tests.cluster.received import Spans

NODES = ("worker-1", "worker-2")

pytestmark = pytest.mark.usefixtures("bookinfo", "installed")


@pytest.fixture(scope="module")
def flux(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flux]:
    """Flux's controllers, with the manifests of docs/gitops.md; what they applied is pruned at the end."""
    with rig(cluster) as made, serve_repository(tmp_path_factory.mktemp("git") / "tracing") as repository:
        flux = Flux(made, repository, clew.PATIENCE)
        flux.install()
        yield flux
        cluster.kubectl("delete", "kustomizations.kustomize.toolkit.fluxcd.io", "--all", "--namespace=flux-system")


def policy(function: str) -> Document:
    """The policy of the docs for the application, with this function, in one step."""
    _, document = manifests()
    changed = {"namespaces": ["bookinfo"], "kernelFunctions": [{"function": function}], "rollout": {"maxUnavailable": "100%"}}
    return {**document, "spec": {**document["spec"], **changed}}


def applied(flux: Flux, revision: str) -> None:
    """Wait until Flux says that what a revision of the repository wants is so."""
    flux.fetch(revision)
    flux.judged(revision, "True", "ReconciliationSucceeded")


def recorded(spans: Spans, function: str, other: str) -> None:
    """Of requests from now on, the kubelets' probes, both kernels record the one function, and not the other."""
    since = time.time_ns()
    for node in NODES:
        spans.await_function(function, node, since)
    assert not [span for span in spans.all() if span.name == other and span.start > since]


def test_a_commit_reaches_the_kernels_and_its_revert_too(flux: Flux, spans: Spans) -> None:
    applied(flux, flux.commit(policy("security_socket_sendmsg")))
    recorded(spans, "security_socket_sendmsg", "tcp_sendmsg_locked")
    applied(flux, flux.commit(policy("tcp_sendmsg_locked")))
    recorded(spans, "tcp_sendmsg_locked", "security_socket_sendmsg")
    applied(flux, flux.revert())
    recorded(spans, "security_socket_sendmsg", "tcp_sendmsg_locked")
