"""Clew is taken away: `helm uninstall` leaves nothing in any kernel, and in the cluster the kinds and their objects.

The last of the modules about Clew; the application goes with it, so that the others have the nodes to themselves.
"""

from __future__ import annotations

import pytest
from clew_lab.cluster import Cluster
from clew_lab.nodes.machine import LabNode

from tests.cluster import clew, shop
from tests.cluster.web import until
from tests.docs.terminal import Terminal

pytestmark = pytest.mark.usefixtures("policy")


def test_uninstall_leaves_no_program_and_keeps_policies(cluster: Cluster, nodes: dict[str, LabNode], terminal: Terminal) -> None:
    assert all(clew.bpf(node) for node in nodes.values())
    terminal.documented("helm uninstall clew --namespace clew-system")
    cluster.kubectl("wait", "pods", "--all", f"--namespace={clew.NAMESPACE}", "--for=delete", f"--timeout={clew.PATIENCE}s")
    until(lambda: not any(clew.bpf(node) for node in nodes.values()))
    assert shop.load(cluster, "after", "--rate", "2", "--seconds", "5")["failures"] == 0
    assert cluster.kubectl("get", "tracingpolicies.clew.dev", "--output=name").stdout == "tracingpolicy.clew.dev/bookinfo\n"
    left = cluster.kubectl("get", "all,configmaps,secrets,serviceaccounts", f"--namespace={clew.NAMESPACE}", "--output=name").stdout.split()
    assert left == ["configmap/kube-root-ca.crt", "serviceaccount/default"]


def test_policies_and_kinds_go_by_hand(cluster: Cluster, terminal: Terminal) -> None:
    terminal.documented("kubectl delete --filename examples/bookinfo.yaml")
    terminal.documented("kubectl delete crd tracingpolicies.clew.dev tracingrevisions.clew.dev nodetracings.clew.dev")
    shop.stop(cluster)
    assert "clew.dev" not in cluster.kubectl("api-resources", "--output=name").stdout
