"""A small web server on every node, each with a Service of its own, and one for all of them."""

import json
import time
from collections.abc import Callable
from typing import Any

from clew_lab.cluster import Cluster
from clew_lab.nodes.images import SHELL_IMAGE

__all__ = ["PATIENCE", "ask", "await_answer", "pod_on", "service_of", "start", "until"]

PATIENCE = 300
_SERVE = "hostname > /tmp/index.html; echo serving as $(hostname); exec httpd -f -v -p 8080 -h /tmp"


def start(cluster: Cluster, nodes: list[str]) -> None:
    """Run a pod on each of these nodes, and wait until all are ready."""
    objects = [made for node in nodes for made in (_pod(node), _service(service_of(node), {"node": node}))]
    cluster.kubectl("apply", "--server-side", "--filename=-", input=_listed([*objects, _service("web", {"app": "web"})]))
    cluster.kubectl("wait", "pod", "--selector=app=web", "--for=condition=Ready", f"--timeout={PATIENCE}s")


def pod_on(node: str) -> str:
    """The name of the pod on that node, which it also answers with."""
    return f"web-{node}"


def service_of(node: str) -> str:
    """The name of that pod's Service: not the pod's own, which the pod knows itself by."""
    return f"site-{node}"


def ask(cluster: Cluster, pod: str, url: str) -> str:
    """What a pod gets from a URL."""
    return cluster.kubectl("exec", pod, "--", "wget", "-qO-", "-T", "30", url).stdout.strip()


def await_answer(cluster: Cluster, pod: str, url: str, answer: str) -> None:
    """Wait until a pod gets that answer: what a Service leads to follows what happens to its pods, some time later."""
    until(lambda: cluster.kubectl("exec", pod, "--", "wget", "-qO-", "-T", "5", url, check=False).stdout.strip() == answer)


def until(holds: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait for something of which nobody sends word, for so many seconds."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "it has not come to hold"
        time.sleep(1)


def _pod(node: str) -> dict[str, Any]:
    container = {
        "name": "web",
        "image": SHELL_IMAGE,
        "command": ["sh", "-c", _SERVE],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 2, "timeoutSeconds": 10},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_on(node), "labels": {"app": "web", "node": node}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [container]},
    }


def _service(name: str, selector: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def _listed(objects: list[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
