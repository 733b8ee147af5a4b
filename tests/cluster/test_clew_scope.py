"""Pods side by side on one node, selected and not: of the others not one span, no socket in the kernel's map, no byte changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from clew_lab.cluster import Cluster
from clew_lab.images.bookinfo import load_image
from clew_lab.nodes.machine import LabNode

from tests.cluster import shop, web
from tests.cluster.received import Spans

# It tells the kernel's name of its socket, SO_COOKIE, before it asks, and keeps the connection until it is told to end.
ASK = """
import socket, sys
connection = socket.create_connection(("{address}", 9080))
connection.sendall(b"GET /{mark} HTTP/1.1\\r\\nHost: plain\\r\\n\\r\\n")
answer = connection.recv(4096)
print(int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, 57, 8), "little"), answer.split()[1].decode(), flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.usefixtures("policy")


@pytest.fixture(scope="module")
def node(cluster: Cluster) -> str:
    """The node of productpage, which is selected."""
    (found,) = (
        pod["spec"]["nodeName"] for pod in shop.pods(cluster) if pod["metadata"]["labels"]["app.kubernetes.io/name"] == "productpage"
    )
    return str(found)


@pytest.fixture(scope="module")
def address(cluster: Cluster, node: str) -> Iterator[str]:
    """Of a server on that node which is not selected, beside a client which is neither."""
    wait = "import signal; signal.pause()"
    for name, script in (("plain-server", shop.SERVE), ("plain-client", wait)):
        container = {"name": "main", "image": load_image(), "command": ["python3", "-c", script]}
        spec = {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [container]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        cluster.kubectl("apply", "--filename=-", input=json.dumps(pod))
    names = ("pod/plain-server", "pod/plain-client")
    cluster.kubectl("wait", *names, "--for=condition=Ready", f"--timeout={web.PATIENCE}s")
    web.until(lambda: "listening" in cluster.kubectl("logs", "plain-server").stdout)
    yield cluster.kubectl("get", "pod", "plain-server", "--output=jsonpath={.status.podIP}").stdout
    cluster.kubectl("delete", *names)


@contextmanager
def asking(cluster: Cluster, client: tuple[str, ...], address: str, mark: str) -> Iterator[int]:
    """The cookie of a socket by which a pod has asked the server, and which it still holds."""
    argv = ["kubectl", "exec", "--stdin", *client, "--", "python3", "-c", ASK.format(address=address, mark=mark)]
    with subprocess.Popen(argv, env=cluster.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        cookie, status = process.stdout.readline().split()
        assert status == "200"
        yield int(cookie)
        process.stdin.close()


def followed(node: LabNode) -> set[int]:
    """The cookies of all sockets in the agent's sockhash."""
    dumped = json.loads(node.run("bpftool", "--json", "map", "dump", "name", "sockets").stdout)
    return {int.from_bytes(bytes(int(byte, 16) for byte in entry["key"]), "little") for entry in dumped}


def requests(cluster: Cluster, mark: str) -> list[str]:
    """What the server got that begins so."""
    return [line for line in cluster.kubectl("logs", "plain-server").stdout.splitlines() if f"GET /{mark} " in line]


def test_a_pod_that_is_not_selected_is_left_alone(
    cluster: Cluster, nodes: dict[str, LabNode], node: str, address: str, spans: Spans
) -> None:
    """And the one that is selected is not, which shows that the test would see it."""
    plain, selected = ("plain-client",), ("--namespace=bookinfo", "deployment/productpage")
    with asking(cluster, plain, address, "plain") as others, asking(cluster, selected, address, "selected") as own:
        assert {others, own} & followed(nodes[node]) == {own}
    assert requests(cluster, "plain") == [r"b'GET /plain HTTP/1.1\r\nHost: plain\r\n\r\n'"]
    (changed,) = requests(cluster, "selected")
    (span,) = spans.until(lambda seen: [one for one in seen if str(one.attributes.get("url.full", "")).endswith("/selected")])
    assert changed == rf"b'GET /selected HTTP/1.1\r\nHost: plain\r\ntraceparent: 00-{span.trace}-{span.span}-01\r\n\r\n'"
    seen = spans.all()
    assert {one.resource["k8s.namespace.name"] for one in seen} == {"bookinfo"}
    assert not [one for one in seen if "/plain" in str(one.attributes)]
