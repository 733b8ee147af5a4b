"""Clew is taken away: `helm uninstall` leaves nothing in any kernel, and in the cluster the kinds and their objects.

The last of the modules about Clew; the application goes with it, so that the others have the nodes to themselves.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from clew_lab.cluster import Cluster
from clew_lab.nodes.machine import LabNode

from tests.cluster import clew, shop
from tests.cluster.received import Spans
from tests.cluster.web import until
from tests.docs.terminal import Terminal

pytestmark = pytest.mark.usefixtures("policy")


def attached(node: LabNode) -> list[Any]:
    """The pods' cgroups on a node to which a program is attached."""
    links = json.loads(node.run("bpftool", "--json", "link", "show").stdout or "[]")
    return [one for one in links if one.get("attach_type") == "cgroup_sock_ops"]


def test_a_policy_that_is_deleted_leaves_its_pods_alone(
    cluster: Cluster, nodes: dict[str, LabNode], spans: Spans, terminal: Terminal
) -> None:
    assert [len(attached(node)) for node in nodes.values()] == [3, 3]
    terminal.documented("kubectl delete --filename examples/bookinfo.yaml")
    until(lambda: not any(clew.tracing(cluster, name)["status"].get("policies") for name in nodes))
    assert [attached(node) for node in nodes.values()] == [[], []]
    since = time.time_ns()
    assert shop.load(cluster, "untraced", "--rate", "2", "--seconds", "5")["failures"] == 0
    assert [span.name for span in spans.all() if span.start > since] == []


def test_uninstall_leaves_no_program_and_keeps_policies(cluster: Cluster, nodes: dict[str, LabNode], terminal: Terminal) -> None:
    cluster.kubectl("apply", f"--filename={shop.POLICY}")
    assert all(clew.bpf(node) for node in nodes.values())
    terminal.documented("helm uninstall clew --namespace clew-system")
    cluster.kubectl("wait", "pods", "--all", f"--namespace={clew.NAMESPACE}", "--for=delete", f"--timeout={clew.PATIENCE}s")
    until(lambda: not any(clew.bpf(node) for node in nodes.values()))
    assert shop.load(cluster, "after", "--rate", "2", "--seconds", "5")["failures"] == 0
    assert cluster.kubectl("get", "tracingpolicies.clew.dev", "--output=name").stdout == "tracingpolicy.clew.dev/bookinfo\n"
    left = cluster.kubectl("get", "all,configmaps,secrets,serviceaccounts", f"--namespace={clew.NAMESPACE}", "--output=name").stdout.split()
    assert left == ["configmap/kube-root-ca.crt", "serviceaccount/default"]


def test_policies_and_kinds_go_by_hand(cluster: Cluster, terminal: Terminal) -> None:
    terminal.documented("kubectl delete crd tracingpolicies.clew.dev tracingrevisions.clew.dev nodetracings.clew.dev")
    shop.stop(cluster)
    assert "clew.dev" not in cluster.kubectl("api-resources", "--output=name").stdout
