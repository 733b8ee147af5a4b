"""Bookinfo in the cluster: what it consists of, and requests to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clew_lab.cluster import Cluster
from clew_lab.images.bookinfo import load_image

from tests.cluster.web import until
from tests.docs.terminal import Terminal

EXAMPLES = Path(__file__).parents[2] / "examples"
MANIFESTS = EXAMPLES / "bookinfo/manifests"
POLICY = EXAMPLES / "bookinfo.yaml"
SERVE = """
import socket
server = socket.create_server(("", 9080))
print("listening", flush=True)
while True:
    connection, _ = server.accept()
    request = b""
    while not request.endswith(b"\\r\\n\\r\\n") and (piece := connection.recv(4096)):
        request += piece
    print(request, flush=True)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
"""
"""A server that answers everything with 200, and prints what it was asked."""
URL = "http://productpage.bookinfo:9080/productpage"


def start(cluster: Cluster, terminal: Terminal) -> None:
    """Have all its pods ready, as the docs say, and its Services lead to them, which they do some time later."""
    terminal.documented("kubectl apply -k examples/bookinfo/manifests")
    terminal.documented("kubectl wait --namespace bookinfo deployments --all --for=condition=Available --timeout=5m", {"5m": "10m"})
    until(lambda: bool(page := ask(cluster, "productpage", "/productpage", check=False)) and "Sorry" not in page)


def ask(cluster: Cluster, service: str, path: str, check: bool = True) -> str:
    """What a service answers, by way of the API server; without `check` nothing, where it does not."""
    return cluster.kubectl("get", "--raw", f"/api/v1/namespaces/bookinfo/services/{service}:9080/proxy{path}", check=check).stdout


def stop(cluster: Cluster) -> None:
    """Take all of it away."""
    cluster.kubectl("delete", "--kustomize", str(MANIFESTS))


def pods(cluster: Cluster, service: str = "") -> list[Mapping[str, Any]]:
    """Its pods, or those of one service, as the API has them."""
    of_service = [f"--selector=app.kubernetes.io/name={service}"] if service else []
    items = json.loads(cluster.kubectl("get", "pods", "--namespace=bookinfo", *of_service, "--output=json").stdout)["items"]
    assert isinstance(items, list)
    return items


def load(cluster: Cluster, name: str, *arguments: str) -> Mapping[str, Any]:
    """Run the load generator as a pod outside of its namespace, to its end; what it tells."""
    _run_load(cluster, name, *arguments)
    return _end_of_load(cluster, name)


@contextmanager
def under_load(cluster: Cluster, rate: str, node: str) -> Iterator[dict[str, Any]]:
    """Requests at a rate per second, from a pod of that node, meanwhile; afterwards it is told what became of them."""
    _run_load(cluster, "load", "--rate", rate, "--seconds", "3600", node=node)
    cluster.kubectl("wait", "pod/load", "--for=condition=Ready", "--timeout=120s")
    told: dict[str, Any] = {}
    try:
        yield told
        cluster.kubectl(*_in_load("import os, signal; os.kill(1, signal.SIGTERM)"))
        told.update(_end_of_load(cluster, "load"))
    finally:
        cluster.kubectl("delete", "pod/load", "--ignore-not-found", "--grace-period=1")


def load_obeys(cluster: Cluster) -> bool:
    """Whether commands can be run in the pod of the load: its kubelet, its runtime and the API server are there."""
    return cluster.kubectl(*_in_load(""), check=False).returncode == 0


def _in_load(code: str) -> tuple[str, ...]:
    return ("exec", "load", "--", "python3", "-c", code)


def _run_load(cluster: Cluster, name: str, *arguments: str, node: str = "") -> None:
    where = [f"--overrides={json.dumps({'spec': {'nodeName': node}})}"] if node else []
    cluster.kubectl("run", name, f"--image={load_image()}", "--restart=Never", *where, "--", URL, *arguments, "--close", "--json")


def _end_of_load(cluster: Cluster, name: str) -> Mapping[str, Any]:
    ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    cluster.kubectl("wait", f"pod/{name}", ended, "--timeout=600s")
    told = json.loads(cluster.kubectl("logs", f"pod/{name}").stdout)
    cluster.kubectl("delete", f"pod/{name}")
    assert isinstance(told, dict)
    return told
