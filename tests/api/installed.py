"""The chart, installed on a control plane with two nodes: what tests of the chart and of access begin with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clew_lab.cluster import Cluster

from tests.api.rest import GROUP, Client

CHART = str(Path(__file__).parents[2] / "charts/clew")
NAMESPACE = "clew-system"
AGENT = f"system:serviceaccount:{NAMESPACE}:clew-agent"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:clew-operator"
NODES = ("node-a", "node-b")
POLICY: dict[str, Any] = {
    "apiVersion": "clew.dev/v1alpha1",
    "kind": "TracingPolicy",
    "metadata": {"name": "bookinfo"},
    "spec": {"namespaces": ["bookinfo"]},
}
REVISION: dict[str, Any] = {
    "apiVersion": "clew.dev/v1alpha1",
    "kind": "TracingRevision",
    "metadata": {"name": "bookinfo-0123456789"},
    "spec": {"policy": "bookinfo", "enforced": {"namespaces": ["bookinfo"]}},
}


def tracing(name: str) -> dict[str, Any]:
    """A NodeTracing with nothing to enforce."""
    return {"apiVersion": "clew.dev/v1alpha1", "kind": "NodeTracing", "metadata": {"name": name}, "spec": {"policies": []}}


def install(cluster: Cluster, *arguments: str) -> None:
    """Install the chart and wait until everything runs."""
    cluster.helm("install", "clew", CHART, "--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "120s", *arguments)


def populate(admin: Client) -> None:
    """A policy, a revision of it, and a NodeTracing for each node, as the operator would make them."""
    for collection, made in [("tracingpolicies", POLICY), ("tracingrevisions", REVISION), *(("nodetracings", tracing(n)) for n in NODES)]:
        answer = admin.ask("POST", f"{GROUP}/{collection}", made)
        assert answer.code == 201, answer


@contextmanager
def administered(cluster: Cluster) -> Iterator[Client]:
    """The chart and Clew's objects on two nodes, and a client that may do everything."""
    cluster.add_nodes(NODES)
    install(cluster)
    with Client(cluster, cluster.admin_token) as client:
        populate(client)
        yield client


def agent_pod(admin: Client, node: str) -> dict[str, Any]:
    """The agent's pod on a node."""
    selector = f"labelSelector=app.kubernetes.io/component%3Dagent&fieldSelector=spec.nodeName%3D{node}"
    (pod,) = admin.get(f"/api/v1/namespaces/{NAMESPACE}/pods?{selector}")["items"]
    assert isinstance(pod, dict)
    return pod
