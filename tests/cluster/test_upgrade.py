"""Clew exchanged under load, and taken away at last: the end of the cluster's story, after all other modules.

No request fails of either. `helm uninstall` leaves nothing in any kernel, and in the cluster the kinds and their objects.
"""

from __future__ import annotations

import json
import time

import pytest
from clew_lab.backends.running import Jaeger
from clew_lab.cluster import Cluster
from clew_lab.nodes.machine import LabNode
from clew_lab.pages import nodes_of, page_faults, pages

from tests.cluster import clew, shop
from tests.cluster.web import until
from tests.figures import Record

WHOLE = 10


def bpf(node: LabNode) -> list[str]:
    """All programs, maps and links of BPF in a node's kernel, but for the programs by which runc guards devices."""
    found = [
        (kind, one) for kind in ("prog", "map", "link") for one in json.loads(node.run("bpftool", "--json", kind, "show").stdout or "[]")
    ]
    return [f"{kind} {one.get('name', one['id'])}" for kind, one in found if one.get("type") != "cgroup_device"]


@pytest.fixture(scope="module", autouse=True)
def policy(cluster: Cluster, bookinfo: None, installed: float) -> None:
    """The example's, Ready; it is still there at the end."""
    cluster.kubectl("apply", f"--filename={shop.POLICY}")
    cluster.kubectl("wait", f"--filename={shop.POLICY}", "--for=condition=Ready", f"--timeout={clew.PATIENCE}s")


def test_agents_are_exchanged_under_load(cluster: Cluster, jaeger: Jaeger, record_property: Record) -> None:
    """For others, which send to Jaeger; that one tells what has come."""
    with shop.under_load(cluster, "4") as told:
        seconds = clew.upgrade(cluster, "http://jaeger.observability:4318")
        moment = time.time_ns()
        until(lambda: _crossing(jaeger, moment) >= WHOLE)
    record_property("agents exchanged", f"in {seconds:.0f} s; {json.dumps(told)}")
    assert told["failures"] == 0


def _crossing(jaeger: Jaeger, moment: int) -> int:
    """How many pages asked for since a moment are whole traces over both nodes, as Jaeger has them."""
    found = pages((span for spans in jaeger.query.traces("productpage").values() for span in spans), moment)
    return sum(len(nodes_of(trace)) == 2 and not page_faults(trace, clew.CLOCKS_NS) for trace in found.values())


def test_uninstall_leaves_no_program_and_keeps_policies(cluster: Cluster, nodes: dict[str, LabNode]) -> None:
    assert all(bpf(node) for node in nodes.values())
    clew.uninstall(cluster)
    until(lambda: not any(bpf(node) for node in nodes.values()))
    assert shop.load(cluster, "after", "--rate", "2", "--seconds", "5")["failures"] == 0
    assert cluster.kubectl("get", "tracingpolicies.clew.dev", "--output=name").stdout == "tracingpolicy.clew.dev/bookinfo\n"
    left = cluster.kubectl("get", "all,configmaps,secrets,serviceaccounts", f"--namespace={clew.NAMESPACE}", "--output=name").stdout.split()
    assert left == ["configmap/kube-root-ca.crt", "serviceaccount/default"]
