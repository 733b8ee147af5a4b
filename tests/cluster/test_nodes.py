"""Two real nodes: what they are, what runs on them, and that everything a cluster promises of pods holds between them."""

import json
import re
import subprocess
import urllib.request

import pytest
from clew_lab.cluster import Cluster
from clew_lab.images.build import tars
from clew_lab.nodes.machine import LabNode

from tests.cluster import web

ONE, OTHER = "worker-1", "worker-2"
OPERATOR_IMAGE = next(name for name in tars() if name.startswith("clew/operator:"))
WHO_AM_I = """
import json, ssl, urllib.request
from pathlib import Path

account = Path("/var/run/secrets/kubernetes.io/serviceaccount")
review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
headers = {"Authorization": f"Bearer {(account / 'token').read_text()}", "Content-Type": "application/json"}
url = "https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews"
request = urllib.request.Request(url, json.dumps(review).encode(), headers)
context = ssl.create_default_context(cafile=account / "ca.crt")
print(urllib.request.urlopen(request, timeout=60, context=context).read().decode())
"""


@pytest.fixture(scope="module", autouse=True)
def pods(cluster: Cluster) -> None:
    web.start(cluster, [ONE, OTHER])


def test_both_nodes_are_ready_each_with_its_own_kernel(cluster: Cluster) -> None:
    items = json.loads(cluster.kubectl("get", "nodes", "--output=json").stdout)["items"]
    ready = [next(one["status"] for one in item["status"]["conditions"] if one["type"] == "Ready") for item in items]
    info = [item["status"]["nodeInfo"] for item in items]
    assert ready == ["True", "True"]
    assert [one["kernelVersion"].split(".")[:2] for one in info] == [["6", "12"], ["6", "1"]]
    assert {one["kubeletVersion"] for one in info} == {"v1.37.2"}
    assert {one["containerRuntimeVersion"].rpartition(".")[0] for one in info} == {"containerd://2.4"}
    assert [item["metadata"]["labels"]["topology.kubernetes.io/zone"] for item in items] == ["a", "b"]


@pytest.mark.parametrize(("source", "target"), [(ONE, OTHER), (OTHER, ONE), (ONE, ONE)])
def test_a_pod_reaches_another_by_the_name_of_a_service(cluster: Cluster, source: str, target: str) -> None:
    service = web.service_of(target)
    for name in (service, f"{service}.default.svc.cluster.local"):
        assert web.ask(cluster, web.pod_on(source), f"http://{name}/") == web.pod_on(target)


def test_a_service_of_both_reaches_both(cluster: Cluster) -> None:
    command = "for n in $(seq 20); do wget -qO- -T 30 http://web/; done"
    answered = cluster.kubectl("exec", web.pod_on(ONE), "--", "sh", "-c", command).stdout.split()
    assert set(answered) == {web.pod_on(ONE), web.pod_on(OTHER)}


@pytest.mark.parametrize("node", [ONE, OTHER])
def test_logs_and_exec_work(cluster: Cluster, node: str) -> None:
    pod = web.pod_on(node)
    assert cluster.kubectl("logs", pod).stdout.splitlines()[0] == f"serving as {pod}"
    assert cluster.kubectl("exec", "--stdin", pod, "--", "cat", input="echoed").stdout == "echoed"
    failed = cluster.kubectl("exec", pod, "--", "sh", "-c", "exit 7", check=False)
    assert failed.returncode == 7


def test_a_port_is_forwarded(cluster: Cluster) -> None:
    argv = ["kubectl", "port-forward", f"pod/{web.pod_on(OTHER)}", "0:8080"]
    with subprocess.Popen(argv, env=cluster.environment, stdout=subprocess.PIPE, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            forwarded = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> 8080\n", forwarding.stdout.readline())
            assert forwarded is not None
            with urllib.request.urlopen(f"http://127.0.0.1:{forwarded[1]}/", timeout=60) as answer:
                assert answer.read().decode().strip() == web.pod_on(OTHER)
        finally:
            forwarding.terminate()


def test_the_api_server_reaches_pods(cluster: Cluster) -> None:
    answer = cluster.kubectl("get", "--raw", f"/api/v1/namespaces/default/pods/{web.pod_on(ONE)}:8080/proxy/").stdout
    assert answer.strip() == web.pod_on(ONE)


@pytest.mark.parametrize("node", [ONE, OTHER])
def test_a_pod_speaks_to_the_api_server_as_its_service_account(cluster: Cluster, node: str) -> None:
    """By the Service's name, which its certificate holds."""
    name = f"client-{node}"
    container = {"name": "client", "image": OPERATOR_IMAGE, "command": ["/usr/bin/python3", "-c", WHO_AM_I]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeName": node, "restartPolicy": "Never", "containers": [container]},
    }
    cluster.kubectl("apply", "--filename=-", input=json.dumps(pod))
    cluster.kubectl("wait", "pod", name, "--for=jsonpath={.status.phase}=Succeeded", f"--timeout={web.PATIENCE}s")
    said = json.loads(cluster.kubectl("logs", name).stdout)["status"]["userInfo"]
    assert said["username"] == "system:serviceaccount:default:default"
    assert said["extra"]["authentication.kubernetes.io/node-name"] == [node]


def test_a_pod_cannot_give_orders_to_its_node(cluster: Cluster, nodes: dict[str, LabNode]) -> None:
    """What the host is served by a guest is not served to pods."""
    script = "printf 'CONNECT node.clew.dev:1 HTTP/1.1\\r\\n\\r\\n' | nc -w 5 10.0.2.15 3128"
    assert cluster.kubectl("exec", web.pod_on(ONE), "--", "sh", "-c", script, check=False).stdout == ""
    assert nodes[ONE].run("hostname").stdout == "worker-1\n"
