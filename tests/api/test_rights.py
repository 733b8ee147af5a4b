"""All that agents, the operator and people may do: the whole list of rights, and the operator's work done with them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clew_lab.chart import CHECKOUT
from clew_lab.cluster import Cluster, components

from tests.api.installed import AGENT, NAMESPACE, NODES, OPERATOR, POLICY, REVISION, agent_pod, tracing
from tests.api.operators import LEASE_SECONDS
from tests.api.rest import GROUP, Client, bound_token, until
from tests.api.rights import rights


@pytest.fixture(scope="module")
def operator_token(admin: Client) -> str:
    return bound_token(admin, NAMESPACE, "clew-operator")


@pytest.fixture(scope="module")
def operator(admin: Client, operator_token: str) -> Client:
    return admin.with_token(operator_token)


AGENTS_RIGHTS = {
    "clew.dev/nodetracings": "get list watch",
    "clew.dev/nodetracings/status": "patch",
    "clew.dev/tracingrevisions": "get",
    "discovery.k8s.io/endpointslices": "list watch",
    "namespaces": "list watch",
    "pods": "list watch",
    "services": "list watch",
}
OPERATORS_RIGHTS = {
    "clew.dev/nodetracings": "list watch create patch delete",
    "clew.dev/tracingpolicies": "list watch",
    "clew.dev/tracingpolicies/status": "patch",
    "clew.dev/tracingrevisions": "list watch create patch delete",
    "events.k8s.io/events": "create",
    "namespaces": "list watch",
    "nodes": "list watch",
    "pods": "list watch",
}


def test_all_that_an_agent_may_do(admin: Client) -> None:
    assert rights(admin, AGENT) == AGENTS_RIGHTS
    assert rights(admin, AGENT, NAMESPACE) == AGENTS_RIGHTS


def test_all_that_the_operator_may_do(admin: Client) -> None:
    assert rights(admin, OPERATOR) == OPERATORS_RIGHTS
    assert rights(admin, OPERATOR, NAMESPACE) == OPERATORS_RIGHTS | {"coordination.k8s.io/leases": "create"}


def test_the_operator_does_its_work(admin: Client, operator: Client) -> None:
    for path in ("/api/v1/nodes", "/api/v1/pods", "/api/v1/namespaces", *(f"{GROUP}/{one}" for one in ("tracingpolicies", "nodetracings"))):
        assert operator.ask("GET", path).code == 200
    status = {"observedGeneration": 1, "message": "by the operator"}
    policy = {"kind": "TracingPolicy", "metadata": {"name": "bookinfo"}, "status": status}
    assert operator.apply(f"{GROUP}/tracingpolicies/bookinfo/status", policy, "clew-operator").code == 200
    uid = admin.get(f"{GROUP}/tracingpolicies/bookinfo")["metadata"]["uid"]
    owner = {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "name": "bookinfo", "uid": uid, "controller": True}
    revision = REVISION | {"metadata": {"name": "bookinfo-abcdef0123", "ownerReferences": [owner]}}
    path = f"{GROUP}/tracingrevisions/bookinfo-abcdef0123"
    assert operator.apply(path, revision, "clew-operator").code == 201
    assert operator.ask("DELETE", path).code == 200
    told = {"policies": [{"name": "bookinfo", "revision": "bookinfo-0123456789"}]}
    assert operator.apply(f"{GROUP}/nodetracings/node-c", tracing("node-c"), "clew-operator").code == 201
    assert operator.apply(f"{GROUP}/nodetracings/node-c", tracing("node-c") | {"spec": told}, "clew-operator").code == 200
    assert operator.ask("DELETE", f"{GROUP}/nodetracings/node-c").code == 200
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "bookinfo-", "namespace": "default"},
        "eventTime": "2026-11-25T10:00:00.000000Z",
        "type": "Normal",
        "reason": "RolledOut",
        "action": "Rollout",
        "note": "all nodes have it",
        "reportingController": "clew.dev/operator",
        "reportingInstance": "clew-operator-0",
        "regarding": {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "name": "bookinfo", "uid": uid},
    }
    assert operator.ask("POST", "/apis/events.k8s.io/v1/namespaces/default/events", event).code == 201
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "a"}}
    made = operator.ask("POST", leases, lease | {"metadata": {"name": "clew-operator"}})
    assert made.code == 201
    assert operator.ask("PUT", f"{leases}/clew-operator", made.body).code == 200
    assert operator.ask("GET", f"{leases}/clew-operator").code == 200


def test_the_operator_does_nothing_else(admin: Client, operator: Client) -> None:
    other_lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/other"
    forbidden = [
        ("GET", "/api/v1/secrets", None),
        ("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets", None),
        ("GET", "/api/v1/configmaps", None),
        ("GET", other_lease, None),
        ("PUT", other_lease, {"metadata": {"name": "other"}}),
        ("POST", f"{GROUP}/tracingpolicies", POLICY),
        ("DELETE", f"{GROUP}/tracingpolicies/bookinfo", None),
        ("DELETE", f"{GROUP}/nodetracings", None),
        ("PUT", f"{GROUP}/nodetracings/node-a/status", tracing("node-a")),
    ]
    assert [operator.ask(*one).code for one in forbidden] == [403] * len(forbidden)
    spec = {"kind": "TracingPolicy", "metadata": {"name": "bookinfo"}, "spec": {"namespaces": ["other"]}}
    assert operator.apply(f"{GROUP}/tracingpolicies/bookinfo", spec, "clew-operator").code == 403
    status = {"kind": "NodeTracing", "metadata": {"name": "node-a"}, "status": {}}
    assert operator.apply(f"{GROUP}/nodetracings/node-a/status", status, "clew-operator").code == 403


@pytest.fixture
def running_operator(cluster: Cluster, operator_token: str, tmp_path: Path) -> Iterator[Path]:
    """The real operator, outside of the cluster but with its service account's token; yields its log."""
    kubeconfig, log = tmp_path / "kubeconfig", tmp_path / "log"
    kubeconfig.write_text(components.kubeconfig(cluster.url, cluster.ca, operator_token))
    # Another test's lease may be there still: a short duration, since this replica waits for it to run out.
    flags = [f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE}", f"--lease-duration={LEASE_SECONDS}s"]
    command = [sys.executable, "-m", "clew_operator.main", "run", *flags]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'crds'}:{CHECKOUT / 'operator'}"}
    with log.open("w") as file, subprocess.Popen(command, env=environment, stderr=file) as process:
        yield log
        process.terminate()
        assert process.wait() == 0


def answer_as_agents(admin: Client) -> bool:
    """Each node's agent, with a token bound to its pod, says Ready to what its node is told; True when all nodes have been told."""
    told = {one["metadata"]["name"]: one for one in admin.get(f"{GROUP}/nodetracings")["items"] if one.get("spec", {}).get("policies")}
    for node, one in told.items():
        reports = [
            {"name": policy["name"], "revision": policy["revision"], "state": "Ready", "reason": "Enforced"}
            for policy in one["spec"]["policies"]
        ]
        body = {"kind": "NodeTracing", "metadata": {"name": node}}
        status = {"observedGeneration": one["metadata"]["generation"], "policies": reports}
        pod = agent_pod(admin, node)["metadata"]
        agent = admin.with_token(bound_token(admin, NAMESPACE, "clew-agent", "Pod", pod["name"], pod["uid"]))
        assert agent.apply(f"{GROUP}/nodetracings/{node}/status", body | {"status": status}, "clew-agent").code == 200
    return set(told) == set(NODES)


def test_a_policy_goes_out_with_these_rights(admin: Client, running_operator: Path) -> None:
    policy = POLICY | {"metadata": {"name": "rolled-out"}}
    assert admin.ask("POST", f"{GROUP}/tracingpolicies", policy).code == 201
    until(lambda: answer_as_agents(admin))

    def ready() -> str:
        conditions = admin.get(f"{GROUP}/tracingpolicies/rolled-out").get("status", {}).get("conditions", [])
        return next((one["status"] for one in conditions if one["type"] == "Ready"), "")

    until(lambda: ready() == "True")

    def events() -> set[str]:
        listed = admin.get("/apis/events.k8s.io/v1/namespaces/default/events")["items"]
        return {one["reason"] for one in listed if one["regarding"]["name"] == "rolled-out"}

    until(lambda: events() == {"RolloutStarted", "RolledOut"})
    assert "orbidden" not in running_operator.read_text()


READERS = dict.fromkeys(("clew.dev/nodetracings", "clew.dev/tracingpolicies", "clew.dev/tracingrevisions"), "get list watch")
WRITERS = READERS | {
    "clew.dev/tracingpolicies": "get list watch create update patch delete deletecollection",
    "clew.dev/tracingrevisions": "get list watch patch",
}


@pytest.mark.parametrize(("role", "expected"), [("view", READERS), ("edit", WRITERS), ("admin", WRITERS)])
def test_what_people_may_do(admin: Client, role: str, expected: dict[str, str]) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"person-{role}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": f"person-{role}", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    assert admin.ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).code == 201
    until(lambda: rights(admin, f"person-{role}", only="clew.dev") == expected)
