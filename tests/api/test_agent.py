"""The node agent's side of the API, on a real API server: what it watches, reads and writes. Nothing is traced here.

What the agent's loop does with policies is played: a test takes them, and tells how they stand.
"""

import json
import logging
import subprocess
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from clew_agent.cluster.client import ApiError, connect
from clew_agent.cluster.inventory import ClusterInventory
from clew_agent.cluster.open import open_cluster
from clew_agent.cluster.status import StatusReporter
from clew_agent.cluster.tracing import NodePolicies
from clew_agent.cluster.watch import Resource, Watch
from clew_agent.mode import Mode, ModeError
from clew_agent.model import Inventory, Pod, Workload
from clew_agent.standing import Standing
from clew_crds import TracingPolicy
from clew_lab.cluster import Cluster

from tests.api import definitions
from tests.api.rest import GROUP, Client
from tests.kernel.until import until

API = "clew.dev/v1alpha1"
AWAY = "the API server cannot be reached; what is enforced stays as it is"
BACK = "the API server can be reached again"
RULES = [
    {"apiGroups": ["clew.dev"], "resources": ["nodetracings"], "verbs": ["list", "watch"]},
    {"apiGroups": ["clew.dev"], "resources": ["nodetracings/status"], "verbs": ["patch"]},
    {"apiGroups": ["clew.dev"], "resources": ["tracingrevisions"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods", "services", "namespaces"], "verbs": ["list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
]


@pytest.fixture(scope="module", autouse=True)
def _definitions(cluster: Cluster) -> None:
    definitions.install(cluster)
    cluster.add_nodes(["n1", "n2"])


@pytest.fixture(scope="module", autouse=True)
def _no_jitter() -> Iterator[None]:
    """There is one agent of a node here, whose writes need not keep out of others' way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clew_agent.cluster.schedule.JITTER", 0.0)
        yield


def apply(cluster: Cluster, *objects: dict[str, Any]) -> None:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=yaml.safe_dump_all(objects))


def revision(name: str, **enforced: object) -> dict[str, Any]:
    policy = name.rpartition("-")[0]
    spec = {"policy": policy, "policyUid": "p", "enforced": {"namespaces": ["shop"], **enforced}}
    return {"apiVersion": API, "kind": "TracingRevision", "metadata": {"name": name}, "spec": spec}


def tracing(node: str, *revisions: str) -> dict[str, Any]:
    policies = [{"name": name.rpartition("-")[0], "uid": "p", "revision": name} for name in revisions]
    return {"apiVersion": API, "kind": "NodeTracing", "metadata": {"name": node}, "spec": {"policies": policies}}


def read(cluster: Cluster, node: str) -> dict[str, Any]:
    with Client(cluster, cluster.admin_token) as admin:
        return admin.get(f"{GROUP}/nodetracings/{node}")


def await_policies(mode: Mode, *ratios: str) -> tuple[TracingPolicy, ...]:
    """The policies, as soon as they have these sampling ratios."""

    def look() -> tuple[TracingPolicy, ...]:
        return mode.policies.policies()

    return until(look, lambda found: tuple(policy.spec.sampling.ratio for policy in found) == ratios, lambda: f"there are {look()}")


def await_report(cluster: Cluster, node: str, state: str, revision: str) -> dict[str, Any]:
    """The status of a node, as soon as it says that of its only policy, and the write of that is in the audit log."""

    def look() -> dict[str, Any]:
        found: dict[str, Any] = read(cluster, node).get("status", {})
        return found

    def wanted(status: dict[str, Any]) -> bool:
        return [(one["state"], one["revision"]) for one in status.get("policies", ())] == [(state, revision)]

    status = until(look, wanted, lambda: f"the status is {look()}")
    until(lambda: writes(cluster, node)[-1:], lambda last: any(map(wanted, last)), lambda: "its write was not logged")
    return status


def enforce(mode: Mode, policies: tuple[TracingPolicy, ...], pods: int = 0) -> None:
    """Play the agent's loop, which has put the policies in force."""
    names = [policy.metadata.name for policy in policies]
    mode.reporter.tell(Standing(policies, policies, "", dict.fromkeys(names, ()), dict.fromkeys(names, pods)))


def writes(cluster: Cluster, node: str) -> list[dict[str, Any]]:
    """The statuses that the agent has written of a node, oldest first."""
    text = cluster.audit_log.read_text()
    lines = (json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n"))  # the last one may be half written
    return [
        line["requestObject"]["status"]
        for line in lines
        if line["objectRef"].get("subresource") == "status"
        and line["objectRef"]["name"] == node
        and "fieldManager=clew-agent" in line["requestURI"]
        and line["responseStatus"]["code"] == 200
    ]


def test_a_node_hears_of_its_own_policies_alone_and_says_how_they_stand(cluster: Cluster) -> None:
    mode = open_cluster(cluster.kubeconfig, "n1")
    apply(cluster, revision("a-1", sampling={"ratio": "0.5"}), revision("b-1"), tracing("n2", "b-1"), tracing("n1", "a-1"))
    policies = await_policies(mode, "0.5")
    assert mode.policies.policies() is policies

    mode.reporter.tell(Standing(policies))
    await_report(cluster, "n1", "Pending", "a-1")
    enforce(mode, policies, pods=2)
    status = await_report(cluster, "n1", "Ready", "a-1")
    assert status["observedGeneration"] == read(cluster, "n1")["metadata"]["generation"]
    assert status["kernel"]["propagation"] == "On"
    assert status["policies"] == [
        {"name": "a", "revision": "a-1", "state": "Ready", "reason": "Enforced", "message": "", "pods": 2, "functions": []}
    ]
    assert 10 < status["overhead"]["memoryMiB"] < 1000
    assert [one["policies"][0]["state"] for one in writes(cluster, "n1")] == ["Pending", "Ready"]
    managers = {(one["manager"], one.get("subresource", "")) for one in read(cluster, "n1")["metadata"]["managedFields"]}
    assert managers == {("kubectl", ""), ("clew-agent", "status")}
    assert "status" not in read(cluster, "n2")


def test_what_changes_at_once_is_one_write(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    mode = open_cluster(cluster.kubeconfig, "n3")
    apply(cluster, revision("c-1"), revision("c-2", sampling={"ratio": "0.25"}), tracing("n3", "c-1"))
    enforce(mode, await_policies(mode, "1"))
    await_report(cluster, "n3", "Ready", "c-1")
    before = len(writes(cluster, "n3"))
    monkeypatch.setattr("clew_agent.cluster.schedule.SETTLE", 2.0)  # longer than what follows takes on a busy machine
    apply(cluster, tracing("n3", "c-2"))
    policies = await_policies(mode, "0.25")
    mode.reporter.tell(Standing(policies))
    enforce(mode, policies)
    await_report(cluster, "n3", "Ready", "c-2")
    assert len(writes(cluster, "n3")) == before + 1


def test_a_policy_that_the_operator_takes_away_is_enforced_no_longer(cluster: Cluster) -> None:
    mode = open_cluster(cluster.kubeconfig, "n4")
    apply(cluster, revision("d-1"), revision("e-1", sampling={"ratio": "0"}), tracing("n4", "d-1", "e-1"))
    await_policies(mode, "1", "0")
    apply(cluster, tracing("n4", "e-1"))
    await_policies(mode, "0")
    cluster.kubectl("delete", "nodetracings.clew.dev", "n4")
    await_policies(mode)
    # One that is made again has no status yet, though it says the same as before.
    apply(cluster, tracing("n4", "e-1"))
    enforce(mode, await_policies(mode, "0"))
    await_report(cluster, "n4", "Ready", "e-1")
    cluster.kubectl("delete", "nodetracings.clew.dev", "n4")
    await_policies(mode)
    apply(cluster, tracing("n4", "e-1"))
    await_policies(mode, "0")
    await_report(cluster, "n4", "Ready", "e-1")


def test_a_revision_that_is_not_there_keeps_what_was_before(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew_agent.cluster.tracing._AGAIN", 1.0)
    mode = open_cluster(cluster.kubeconfig, "n5")
    apply(cluster, revision("f-1"), tracing("n5", "f-1"))
    policies = await_policies(mode, "1")
    enforce(mode, policies)
    await_report(cluster, "n5", "Ready", "f-1")
    apply(cluster, tracing("n5", "f-2"))
    status = await_report(cluster, "n5", "Failed", "f-2")
    assert (status["policies"][0]["reason"], status["policies"][0]["message"]) == ("RevisionNotFound", "there is no TracingRevision f-2")
    assert mode.policies.policies() is policies
    apply(cluster, revision("f-2", sampling={"ratio": "0.75"}))
    enforce(mode, await_policies(mode, "0.75"))
    await_report(cluster, "n5", "Ready", "f-2")


def test_the_api_server_goes_and_comes_back(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """What is enforced stays; that is said once; and what has happened meanwhile is reported and heard of afterwards."""
    caplog.set_level(logging.INFO, "clew.cluster")
    mode = open_cluster(cluster.kubeconfig, "n6")
    apply(cluster, revision("g-1"), revision("g-2", sampling={"ratio": "0.5"}), tracing("n6", "g-1"))
    policies = await_policies(mode, "1")
    mode.reporter.tell(Standing(policies))
    await_report(cluster, "n6", "Pending", "g-1")
    caplog.clear()
    cluster.stop_apiserver()
    enforce(mode, policies)
    until(lambda: caplog.messages, lambda said: any(one.startswith(AWAY) for one in said), lambda: "nothing was said")
    assert mode.policies.policies() is policies
    cluster.start_apiserver()
    await_report(cluster, "n6", "Ready", "g-1")
    apply(cluster, tracing("n6", "g-2"))
    enforce(mode, await_policies(mode, "0.5"))
    await_report(cluster, "n6", "Ready", "g-2")
    # Agents of the other tests of this module are at work, too.
    until(lambda: caplog.messages.count(BACK), lambda times: times > 0, lambda: "it was not said")


def test_a_watch_goes_on_after_its_version_is_gone(cluster: Cluster) -> None:
    """A watch from a version that etcd has compacted away is answered with 410: everything is listed anew."""
    apply(cluster, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "default"}})
    resource = Resource("/api/v1/namespaces/default/configmaps", {"fieldSelector": "metadata.name=one"})
    watch = Watch(connect(cluster.kubeconfig), resource, lambda item: (item.get("data") or {}).get("key", ""))
    until(watch.known, lambda known: list((known or {}).values()) == [""], lambda: f"{watch.known()}")
    watch._version = "1"  # as if this node had slept for a day
    cluster.stop_apiserver()
    cluster.start_apiserver()
    apply(cluster, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "default"}, "data": {"key": "new"}})
    until(watch.known, lambda known: list((known or {}).values()) == ["new"], lambda: f"{watch.known()}")
    watch.stop()


def pod(name: str, node: str, labels: dict[str, str], **changes: object) -> dict[str, Any]:
    spec = {"nodeName": node, "containers": [{"name": "main", "image": "none"}], "tolerations": [{"operator": "Exists"}], **changes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": labels}, "spec": spec}


def by_hand(cluster: Cluster, pods: dict[str, str]) -> dict[str, Any]:
    """An endpoint slice of the service "by-hand", with these pods at these addresses."""

    def target(name: str) -> dict[str, str]:
        uid = cluster.kubectl("get", "pod", name, "--namespace=shop", "--output=jsonpath={.metadata.uid}").stdout
        return {"kind": "Pod", "name": name, "namespace": "shop", "uid": uid}

    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "by-hand", "namespace": "shop", "labels": {"kubernetes.io/service-name": "by-hand"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "nodeName": "n2", "targetRef": target(name)} for name, address in pods.items()],
    }


def test_pods_of_the_node_and_peers_of_its_namespaces(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew_agent.cluster.inventory._CGROUPS", tmp_path)
    policy = TracingPolicy.model_validate(
        {
            "apiVersion": API,
            "kind": "TracingPolicy",
            "metadata": {"name": "h"},
            "spec": {"namespaceSelector": {"matchLabels": {"team": "x"}}},
        }
    )
    inventory = ClusterInventory(connect(cluster.kubeconfig), "n1", lambda: (policy,))
    service = {"selector": {"app": "cart"}, "ports": [{"port": 80}]}
    apply(
        cluster,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "x"}}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"}, "spec": service},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "elsewhere", "namespace": "other"}, "spec": service},
    )
    cluster.kubectl("wait", "--namespace=shop", "--for=create", "serviceaccount/default", "--timeout=60s")
    apply(
        cluster,
        pod("own", "n1", {}),
        pod("cart-7c9fb5d6d8-x2x4v", "n2", {"app": "cart"}),
        pod("on-host", "n2", {}, hostNetwork=True),
        pod("listed", "n2", {}),
        pod("stranger", "n2", {}),
    )
    # kwok's nodes have an address that no slice may have. Whoever is on a node's network would be taken for "on-host".
    apply(cluster, by_hand(cluster, {"on-host": "10.9.0.2", "listed": "10.9.0.3"}))

    def named(found: Inventory) -> dict[str, Pod]:
        return {pod.name: pod for pod in found.pods}

    def complete(found: Inventory) -> bool:
        pods = named(found)
        return pods.keys() == {"own", "cart-7c9fb5d6d8-x2x4v", "listed"} and bool(pods["own"].addresses) and bool(found.services)

    found = until(inventory.current, complete, lambda: f"the inventory is {inventory.current()}")
    own, peer = named(found)["own"], named(found)["cart-7c9fb5d6d8-x2x4v"]
    assert (own.node, own.cgroup, own.containers, own.workload) == ("n1", "", ("main",), None)
    assert (peer.node, peer.workload, peer.namespace) == ("n2", Workload("Deployment", "cart"), "shop")
    wide = json.loads(cluster.kubectl("get", "pods,services", "--namespace=shop", "-o", "json").stdout)["items"]
    addresses = {item["metadata"]["name"]: item.get("status", {}).get("podIP") or item["spec"].get("clusterIP") for item in wide}
    assert [str(address) for address in (*own.addresses, *peer.addresses)] == [addresses["own"], addresses["cart-7c9fb5d6d8-x2x4v"]]
    assert found.services == {ip_address(addresses["cart"]): "cart"}
    assert inventory.namespaces()["shop"]["team"] == "x"

    # Nothing changes: it is the same object. Then the kubelet makes the pod's cgroup.
    assert inventory.current() is inventory.current()
    (tmp_path / "kubepods" / "besteffort" / f"pod{own.uid}").mkdir(parents=True)
    assert named(inventory.current())["own"].cgroup == f"/kubepods/besteffort/pod{own.uid}"

    cluster.kubectl("delete", "pod", "own", "--namespace=shop", "--grace-period=0", "--force")
    until(inventory.current, lambda found: "own" not in named(found), lambda: f"the inventory is {inventory.current()}")


def test_ports_of_nodes(cluster: Cluster) -> None:
    """A node's address is that of the agent's pod on it, and is asked for where a service has such a port."""
    spec = {"namespaces": ["forwarded"]}
    policy = TracingPolicy.model_validate({"apiVersion": API, "kind": "TracingPolicy", "metadata": {"name": "ports"}, "spec": spec})
    inventory = ClusterInventory(connect(cluster.kubeconfig), "n1", lambda: (policy,))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "forwarded"}}
    agent = pod("agent", "n2", {"app.kubernetes.io/name": "clew", "app.kubernetes.io/component": "agent"})
    agent["metadata"]["namespace"] = "default"
    cluster.kubectl("wait", "--namespace=default", "--for=create", "serviceaccount/default", "--timeout=60s")
    apply(
        cluster,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "forwarded"}},
        {**service, "spec": {"ports": [{"port": 80}]}},
        agent,
    )
    cluster.kubectl("wait", "pod", "agent", "--namespace=default", "--for=condition=Ready", "--timeout=60s")
    until(inventory.current, lambda found: bool(found.services), lambda: f"the inventory is {inventory.current()}")
    assert (dict(inventory.current().node_ports), inventory.current().nodes) == ({}, frozenset())

    apply(cluster, {**service, "spec": {"type": "NodePort", "ports": [{"port": 80}]}})
    found = until(inventory.current, lambda found: bool(found.nodes), lambda: f"the inventory is {inventory.current()}")
    port = cluster.kubectl("get", "service", "cart", "--namespace=forwarded", "--output=jsonpath={.spec.ports[0].nodePort}").stdout
    host = cluster.kubectl("get", "pod", "agent", "--namespace=default", "--output=jsonpath={.status.hostIP}").stdout
    assert (dict(found.node_ports), found.nodes) == ({int(port): "cart"}, frozenset({ip_address(host)}))


@pytest.fixture
def bound(cluster: Cluster, tmp_path: Path) -> "Bound":
    """A service account with the agent's rights, and a kubeconfig with a token that is bound to a pod on node n2."""
    apply(
        cluster,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "clew"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "clew-agent", "namespace": "clew"}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "clew-agent"}, "rules": RULES},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "clew-agent"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "clew-agent"},
            "subjects": [{"kind": "ServiceAccount", "name": "clew-agent", "namespace": "clew"}],
        },
    )
    return Bound(cluster, tmp_path)


class Bound:
    """Tokens as the kubelet writes them into a pod, and renews them."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._token = folder / "token"
        self.kubeconfig = folder / "kubeconfig"
        document = yaml.safe_load(cluster.kubeconfig.read_text())
        document["users"][0]["user"] = {"tokenFile": str(self._token)}
        self.kubeconfig.write_text(yaml.safe_dump(document))

    def renew(self, pod: str) -> None:
        spec = {"nodeName": "n2", "serviceAccountName": "clew-agent", "containers": [{"name": "agent", "image": "none"}]}
        apply(self._cluster, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": "clew"}, "spec": spec})
        made = self._cluster.kubectl(
            "create", "token", "clew-agent", "--namespace=clew", "--bound-object-kind=Pod", f"--bound-object-name={pod}"
        )
        self._token.write_text(made.stdout)

    def revoke(self, pod: str) -> None:
        self._cluster.kubectl("delete", "pod", pod, "--namespace=clew", "--grace-period=0", "--force")


def test_a_token_bound_to_a_node_and_renewed(cluster: Cluster, bound: Bound) -> None:
    """The agent has no more rights than it needs, and goes on when its token is not taken any more and there is another."""
    bound.renew("agent-1")
    who = json.loads(
        subprocess.run(
            ["kubectl", "--kubeconfig", str(bound.kubeconfig), "auth", "whoami", "-o", "json"],
            env=cluster.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    assert who["status"]["userInfo"]["extra"]["authentication.kubernetes.io/node-name"] == ["n2"]
    mode = open_cluster(bound.kubeconfig, "n2")
    # The node has a policy already, so the first one here has a ratio of its own.
    apply(cluster, revision("i-1", sampling={"ratio": "0.75"}), revision("i-2", sampling={"ratio": "0.5"}), tracing("n2", "i-1"))
    enforce(mode, await_policies(mode, "0.75"))
    await_report(cluster, "n2", "Ready", "i-1")
    bound.renew("agent-2")
    bound.revoke("agent-1")
    apply(cluster, tracing("n2", "i-2"))
    enforce(mode, await_policies(mode, "0.5"))
    await_report(cluster, "n2", "Ready", "i-2")


def test_who_is_not_let_in_is_told_why(cluster: Cluster, bound: Bound) -> None:
    bound.renew("agent-3")
    api = connect(bound.kubeconfig)
    with pytest.raises(ApiError, match='cannot list resource "secrets"') as raised:
        api.get("/api/v1/secrets")
    assert raised.value.status == 403


def test_outside_of_a_cluster() -> None:
    with pytest.raises(ModeError, match="run as a pod with a service account, or give --kubeconfig FILE"):
        connect(None)


def test_an_agent_that_cannot_trace_says_so(cluster: Cluster) -> None:
    apply(cluster, revision("j-1"), tracing("n7", "j-1"))
    api, news = connect(cluster.kubeconfig), threading.Event()
    policies = NodePolicies(api, "n7", news.set)
    reporter = StatusReporter(api, "n7", policies.told, news)
    reporter.tell_unable(RuntimeError("clang says no"))
    status = await_report(cluster, "n7", "Failed", "j-1")
    assert (status["policies"][0]["reason"], status["kernel"]["message"]) == ("LoadFailed", "clang says no")
