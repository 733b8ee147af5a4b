"""Nodes in trouble: cut off, with a program that was killed; and how they come back.

One that loses power does so under Clew and load, in test_clew_kills.py.
"""

import json

import pytest
from clew_lab.cluster import Cluster
from clew_lab.nodes.machine import LabNode

from tests.cluster import web
from tests.cluster.web import until

NODE, OTHER = "worker-2", "worker-1"


@pytest.fixture(scope="module", autouse=True)
def pods(cluster: Cluster) -> None:
    web.start(cluster, [OTHER, NODE])


def ready(cluster: Cluster, status: str) -> None:
    """Wait until the node says so, or the control plane of it."""
    cluster.kubectl("wait", f"node/{NODE}", f"--for=condition=Ready={status}", f"--timeout={web.PATIENCE}s")


def restarts(cluster: Cluster) -> int:
    status = json.loads(cluster.kubectl("get", "pod", web.pod_on(NODE), "--output=json").stdout)["status"]
    return int(status["containerStatuses"][0]["restartCount"])


def pod_is_ready(cluster: Cluster) -> None:
    cluster.kubectl("wait", "pod", web.pod_on(NODE), "--for=condition=Ready", f"--timeout={web.PATIENCE}s")


def address(cluster: Cluster) -> str:
    return cluster.kubectl("get", "pod", web.pod_on(NODE), "--output=jsonpath={.status.podIP}").stdout


def test_a_node_that_is_cut_off_is_given_up_and_comes_back(cluster: Cluster, nodes: dict[str, LabNode]) -> None:
    before = restarts(cluster)
    nodes[NODE].cut_off()
    try:
        ready(cluster, "Unknown")
        web.await_answer(cluster, web.pod_on(OTHER), "http://web/", web.pod_on(OTHER))
    finally:
        nodes[NODE].rejoin()
    ready(cluster, "True")
    pod_is_ready(cluster)
    web.await_answer(cluster, web.pod_on(OTHER), f"http://{web.service_of(NODE)}/", web.pod_on(NODE))
    assert restarts(cluster) == before


@pytest.mark.parametrize("program", ["kubelet", "kube-proxy"])
def test_a_program_that_is_killed_is_started_again_and_pods_do_not_notice(
    cluster: Cluster, nodes: dict[str, LabNode], program: str
) -> None:
    """A Service may leave a pod out for as long as nobody watches over it, so the pod is asked at its own address."""
    url = f"http://{web.service_of(NODE)}/" if program == "kube-proxy" else f"http://{address(cluster)}:8080/"
    before = restarts(cluster)
    killed = nodes[NODE].run("pgrep", "--exact", program).stdout
    nodes[NODE].run("kill", "-KILL", killed.strip())
    assert web.ask(cluster, web.pod_on(OTHER), url) == web.pod_on(NODE)
    until(lambda: nodes[NODE].run("pgrep", "--exact", program, check=False).stdout not in ("", killed))
    assert web.ask(cluster, web.pod_on(OTHER), url) == web.pod_on(NODE)
    until(lambda: cluster.kubectl("exec", web.pod_on(NODE), "--", "true", check=False).returncode == 0)
    assert restarts(cluster) == before
