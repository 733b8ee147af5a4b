"""One node, for real: the chart's rights, the operator, the agent with a token of its pod, in a guest with a real kernel.

The tests are steps of one story, and run in their order. A policy is applied, goes out, and its traces come; one that this kernel
cannot fulfil is rolled back; the API server goes away and comes back; the policy is deleted; the agent ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from clew_lab.cluster import Cluster

from tests.api.installed import NAMESPACE, agent_pod, install
from tests.api.node import GuestNode, guest_node
from tests.api.operators import Rig, conditions, is_true, rig
from tests.api.rest import Client, bound_token
from tests.api.rest import until as until_holds
from tests.figures import Record
from tests.kernel.spans import CLIENT, INTERNAL, SERVER

KERNEL = "6.12"
RELEASE = "6.12.107+deb13-amd64"
NODE = "lab-node"
OPENS = {"function": "do_sys_openat2", "arguments": [{"name": "filename", "type": "UserString"}]}
PATIENCE = 600


@dataclass
class World:
    """What the steps share."""

    cluster: Cluster
    rig: Rig
    node: GuestNode
    addresses: dict[str, str]
    before: dict[str, list[str]]


def run_pod(cluster: Cluster, node: GuestNode, name: str, upstream: str = "") -> str:
    """Make a pod, as a Deployment's, run it in the guest, and say of it what the kubelet would; its address."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "none"}]},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8000}]},
    }
    for made in (pod, service):
        cluster.kubectl("apply", "--server-side", "-f-", input=json.dumps(made))
    cluster.kubectl("wait", "--namespace=shop", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")
    uid = cluster.kubectl("get", "pod", name, "--namespace=shop", "-o", "jsonpath={.metadata.uid}").stdout
    address: str = node.do("pod", name=name, namespace="shop", uid=uid, upstream=upstream)[0]
    status = {"status": {"podIP": address, "podIPs": [{"ip": address}]}}
    cluster.kubectl("patch", "pod", name, "--namespace=shop", "--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
    return address


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[World]:
    cluster.add_nodes([NODE], kernels=[RELEASE])
    with rig(cluster) as operators, guest_node(KERNEL) as node, Client(cluster, cluster.admin_token) as admin:
        install(cluster, "--set", "crds.install=false")
        cluster.kubectl("create", "namespace", "shop")
        cluster.kubectl("wait", "--namespace=shop", "--for=create", "serviceaccount/default", "--timeout=60s")
        before = node.do("kernel")
        addresses = {"cart": run_pod(cluster, node, "cart")}
        addresses["front"] = run_pod(cluster, node, "front", upstream="cart")
        pod = agent_pod(admin, NODE)
        token = bound_token(admin, NAMESPACE, "clew-agent", "Pod", pod["metadata"]["name"], pod["metadata"]["uid"])
        node.start_agent(NODE, int(cluster.url.rpartition(":")[2]), token, cluster.ca.read_text())
        operators.start_operator()
        yield World(cluster, operators, node, addresses, before)


def report(world: World) -> dict[str, Any]:
    """What the agent says of its node."""
    found: dict[str, Any] = json.loads(world.cluster.kubectl("get", "nodetracings.clew.dev", NODE, "-o", "json").stdout)
    return found


def traced(world: World, identity: str, count: int) -> list[Any]:
    """Send a request through both pods; its request spans, once there are `count`."""
    assert world.node.do("ask", pod="front", target=f"/call/{identity}") == "ok"
    return world.node.spans.wait([identity], count, PATIENCE)[identity]


def test_a_policy_goes_out_and_its_traces_come(world: World) -> None:
    world.rig.apply("shop", {"namespaces": ["shop"], "kernelFunctions": [OPENS], "spans": {"subject": "Pod"}})
    world.cluster.kubectl("wait", "--for=condition=Ready", "tracingpolicies.clew.dev/shop", f"--timeout={PATIENCE}s")
    status = report(world)["status"]
    revision = world.rig.policy("shop")["status"]["revision"]
    assert status["policies"] == [
        {"name": "shop", "revision": revision, "state": "Ready", "reason": "Enforced", "message": "", "pods": 2, "functions": []}
    ]
    assert (status["kernel"]["release"], status["kernel"]["propagation"]) == (RELEASE, "On")

    entry, call, served = traced(world, "first", 3)
    assert [(span.kind, span.name) for span in (entry, call, served)] == [
        (SERVER, "server:front->NONE"),
        (CLIENT, "client:front->cart"),
        (SERVER, "server:cart->front"),
    ]
    assert (call.parent, served.parent) == (entry.span, call.span)
    assert {span.trace for span in (entry, call, served)} == {entry.trace}
    uid = world.cluster.kubectl("get", "pod", "front", "--namespace=shop", "-o", "jsonpath={.metadata.uid}").stdout
    resource = {name: entry.resource[name] for name in ("k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid", "k8s.node.name")}
    assert resource == {"k8s.namespace.name": "shop", "k8s.pod.name": "front", "k8s.pod.uid": uid, "k8s.node.name": NODE}


def test_an_edit_reaches_the_kernel(world: World) -> None:
    """The new function's calls are recorded as soon as the policy says Ready for its new generation."""
    assert world.node.do("ask", pod="front", target="/open/1/opened") == "ok"
    (opened,) = world.node.spans.wait(["opened"], 1, PATIENCE)["opened"]
    assert [span.name for span in world.node.spans.below(opened.span, 1)] == ["do_sys_openat2"]
    world.rig.apply("shop", {"namespaces": ["shop"], "kernelFunctions": [{"function": "vfs_open"}], "spans": {"subject": "Pod"}})
    world.rig.until("shop", lambda status: status.get("observedGeneration") == 2 and is_true(status, "Ready"), PATIENCE)
    assert world.node.do("ask", pod="front", target="/open/1/edited") == "ok"
    (edited,) = world.node.spans.wait(["edited"], 1, PATIENCE)["edited"]
    (found,) = world.node.spans.below(edited.span, 1)
    assert (found.kind, found.name) == (INTERNAL, "vfs_open")


def test_what_this_kernel_cannot_do_is_rolled_back(world: World) -> None:
    """The agent says what is wrong with the function; the policy says it on; the node goes back to what it had."""
    stable = world.rig.policy("shop")["status"]["revision"]
    world.rig.apply("shop", {"namespaces": ["shop"], "kernelFunctions": [{"function": "vfs_opem"}], "spans": {"subject": "Pod"}})
    status = world.rig.until("shop", lambda status: is_true(status, "Stalled") and status["observedGeneration"] == 3, PATIENCE)
    assert conditions(status)["Stalled"][:2] == ("True", "FunctionNotFound")
    assert "this kernel has no function vfs_opem; did you mean vfs_open or vcs_open?" in conditions(status)["Stalled"][2]
    back = ("shop", stable, "Ready")
    world.rig.tracing_until(
        NODE,
        lambda one: (
            one["status"]["observedGeneration"] == one["metadata"]["generation"]
            and [(entry["name"], entry["revision"], entry["state"]) for entry in one["status"]["policies"]] == [back]
        ),
        PATIENCE,
    )
    assert world.node.do("ask", pod="front", target="/open/1/kept") == "ok"
    (kept,) = world.node.spans.wait(["kept"], 1, PATIENCE)["kept"]
    assert [span.name for span in world.node.spans.below(kept.span, 1)] == ["vfs_open"]


def test_the_api_server_away(world: World) -> None:
    """What is enforced stays; afterwards the agent and the operator go on by themselves."""
    world.cluster.stop_apiserver()
    entry, call, _ = traced(world, "alone", 3)
    assert (entry.name, call.parent) == ("server:front->NONE", entry.span)
    world.cluster.start_apiserver()
    world.rig.apply("shop", {"namespaces": ["shop"], "spans": {"subject": "Pod"}})
    world.rig.until("shop", lambda status: status.get("observedGeneration") == 4 and is_true(status, "Ready"), PATIENCE)


def test_the_agent_stays_small(world: World, record_property: Record) -> None:
    resident = world.node.do("resident_kib") / 1024
    record_property("agent", f"in cluster mode: {resident:.0f} MiB resident")
    assert resident < 80


def test_a_node_may_not_write_anothers(world: World) -> None:
    """The agent wrote its own status with the token of its pod, through the admission policy; its rights end there."""
    managers = {
        (one["manager"], one.get("subresource", ""))
        for one in json.loads(world.cluster.kubectl("get", "nodetracings.clew.dev", NODE, "-o", "json", "--show-managed-fields").stdout)[
            "metadata"
        ]["managedFields"]
    }
    assert managers == {("clew-operator", ""), ("clew-agent", "status")}


def test_a_policy_that_is_deleted_leaves_the_kernel(world: World) -> None:
    world.cluster.kubectl("delete", "tracingpolicies.clew.dev", "shop")
    world.rig.tracing_until(NODE, lambda one: not one.get("spec", {}).get("policies") and not one["status"].get("policies"), PATIENCE)
    until_holds(lambda: not world.node.do("kernel")["cgroup"])
    assert world.node.do("ask", pod="front", target="/call/untraced") == "ok"
    assert world.node.do("stop_agent") == 0
    assert world.node.do("kernel") == world.before
    assert world.node.spans.of(["untraced"]) == {}
