"""The lab's control plane itself: what the other API tests may rely on."""

import base64
import json
import subprocess
from collections import Counter
from typing import Any

import pytest
from clew_lab.cluster import Cluster, start_cluster

from bench.cluster_report import agent_requests
from tests.api.audit import writes
from tests.kernel.until import until


def definition(kind: str, group: str) -> str:
    """A custom resource with a CEL rule."""
    plural = f"{kind.lower()}s"
    integers = {"min": {"type": "integer"}, "max": {"type": "integer"}}
    rule = {"rule": "self.min <= self.max", "message": "min must not be above max"}
    spec = {"type": "object", "properties": integers, "x-kubernetes-validations": [rule]}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
    }
    return json.dumps(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": "Cluster",
                "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                "versions": [version],
            },
        }
    )


def thing(kind: str, group: str, name: str, least: int, most: int) -> str:
    spec = {"min": least, "max": most}
    return json.dumps({"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})


def define(cluster: Cluster, kind: str, group: str) -> None:
    cluster.kubectl("apply", "--filename=-", input=definition(kind, group))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{kind.lower()}s.{group}", "--timeout=30s")


def nodes_of(cluster: Cluster) -> dict[str, Any]:
    items = json.loads(cluster.kubectl("get", "nodes", "--output=json").stdout)["items"]
    return {node["metadata"]["name"]: node for node in items}


def described(node: dict[str, Any]) -> tuple[str, str, str]:
    """A node's zone, its kernel, and whether it is Ready."""
    ready = next(condition["status"] for condition in node["status"]["conditions"] if condition["type"] == "Ready")
    return node["metadata"]["labels"]["topology.kubernetes.io/zone"], node["status"]["nodeInfo"]["kernelVersion"], ready


@pytest.fixture(scope="module")
def two_nodes(cluster: Cluster) -> list[str]:
    return cluster.add_nodes(["first", "second"])


def test_the_api_server_is_ready_and_says_its_version(cluster: Cluster) -> None:
    assert cluster.kubectl("get", "--raw", "/readyz").stdout == "ok"
    version = json.loads(cluster.kubectl("version", "--output=json").stdout)
    assert version["serverVersion"]["gitVersion"] == "v1.37.2"
    assert cluster.helm("version", "--short").stdout.startswith("v4.3.1")


def test_nodes_become_ready_with_zones_and_kernels_in_turn() -> None:
    with start_cluster() as fresh:
        assert fresh.add_nodes(4, zones=("a", "b"), kernels=("6.1.0-1", "6.12.0-1")) == ["node-0", "node-1", "node-2", "node-3"]
        assert fresh.add_nodes(["other"]) == ["other"]
        assert {name: described(node) for name, node in nodes_of(fresh).items()} == {
            "node-0": ("a", "6.1.0-1", "True"),
            "node-1": ("b", "6.1.0-1", "True"),
            "node-2": ("a", "6.12.0-1", "True"),
            "node-3": ("b", "6.12.0-1", "True"),
            "other": ("b", "6.12.107+deb13-amd64", "True"),
        }


def test_a_node_turns_not_ready_and_ready_again(cluster: Cluster, two_nodes: list[str]) -> None:
    def readiness() -> dict[str, str]:
        return {name: described(node)[2] for name, node in nodes_of(cluster).items()}

    cluster.set_ready("first", False)
    assert readiness() == {"first": "False", "second": "True"}
    cluster.set_ready("first", True)
    assert readiness() == {"first": "True", "second": "True"}


def test_a_crd_with_a_cel_rule_refuses_what_breaks_it(cluster: Cluster) -> None:
    define(cluster, "Widget", "example.test")
    made = cluster.kubectl("apply", "--filename=-", input=thing("Widget", "example.test", "good", 1, 2))
    assert made.stdout == "widget.example.test/good created\n"
    refused = cluster.kubectl("apply", "--filename=-", input=thing("Widget", "example.test", "bad", 3, 2), check=False)
    assert refused.returncode == 1
    assert refused.stderr == 'The Widget "bad" is invalid: spec: Invalid value: min must not be above max\n'


def test_a_command_that_fails_tells_what_kubectl_said(cluster: Cluster) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        cluster.kubectl("get", "node", "nobody")
    assert caught.value.__notes__ == ['Error from server (NotFound): nodes "nobody" not found\n']


def test_a_daemonset_runs_on_every_node(cluster: Cluster, two_nodes: list[str]) -> None:
    labels = {"app": "agent"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "example.test/agent:1"}]}}
    daemons = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    cluster.kubectl("apply", "--filename=-", input=json.dumps(daemons))
    cluster.kubectl("rollout", "status", "daemonset/agent", "--timeout=60s")
    pods = json.loads(cluster.kubectl("get", "pods", "--selector=app=agent", "--output=json").stdout)["items"]
    assert {pod["spec"]["nodeName"]: pod["status"]["phase"] for pod in pods} == {"first": "Running", "second": "Running"}


def test_a_token_bound_to_a_pod_carries_the_pod_s_node(cluster: Cluster, two_nodes: list[str]) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bound"},
        "spec": {"nodeName": "second", "containers": [{"name": "c", "image": "example.test/c:1"}]},
    }
    cluster.kubectl("apply", "--filename=-", input=json.dumps(pod))
    bound = ("--bound-object-kind=Pod", "--bound-object-name=bound")
    token = cluster.kubectl("create", "token", "default", *bound).stdout.strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["kubernetes.io"]["node"]["name"] == "second"
    user = json.loads(cluster.kubectl("auth", "whoami", f"--token={token}", "--output=json").stdout)["status"]["userInfo"]
    assert user["username"] == "system:serviceaccount:default:default"
    assert user["extra"]["authentication.kubernetes.io/node-name"] == ["second"]


def test_a_node_may_change_itself_and_no_other(cluster: Cluster, two_nodes: list[str]) -> None:
    as_first = ("--as=system:node:first", "--as-group=system:nodes")
    assert cluster.kubectl("label", "node", "first", "color=red", *as_first).stdout == "node/first labeled\n"
    third = json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "third"}})
    refused = cluster.kubectl("create", "--filename=-", *as_first, input=third, check=False)
    assert refused.returncode == 1
    assert refused.stderr.endswith('nodes "third" is forbidden: node "first" is not allowed to modify node "third"\n')


def test_the_audit_holds_writes_of_clew_s_objects_with_who_and_what(cluster: Cluster) -> None:
    define(cluster, "Probe", "clew.dev")
    define(cluster, "Other", "example.test")
    cluster.kubectl("create", "--filename=-", input=thing("Probe", "clew.dev", "p", 1, 2))
    cluster.kubectl("create", "--filename=-", input=thing("Other", "example.test", "o", 1, 2))
    cluster.kubectl("get", "probes.clew.dev")
    cluster.kubectl("patch", "probe", "p", "--type=merge", '--patch={"spec":{"max":3}}', "--as=somebody", "--as-group=system:masters")

    def written() -> list[tuple[str, str, str, Any]]:
        events = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()]
        users = [event.get("impersonatedUser", event["user"])["username"] for event in events]
        sent = [event["requestObject"]["spec"] for event in events]
        return [(user, event["verb"], event["objectRef"]["name"], spec) for user, event, spec in zip(users, events, sent, strict=True)]

    # A line is written when its request has been answered: kubectl may be back before.
    until(written, lambda found: len(found) >= 2, lambda: cluster.audit_log.read_text())
    assert written() == [("admin", "create", "p", {"min": 1, "max": 2}), ("somebody", "patch", "p", {"max": 3})]


def test_the_audit_holds_what_clew_s_agents_ask_for(cluster: Cluster) -> None:
    account = ("serviceaccount", "clew-agent", "--namespace=clew-system")
    cluster.kubectl("create", "namespace", "clew-system")
    cluster.kubectl("create", *account)
    cluster.kubectl("create", "clusterrolebinding", "agent", "--clusterrole=view", "--serviceaccount=clew-system:clew-agent")
    token = cluster.kubectl("create", "token", "clew-agent", "--namespace=clew-system").stdout.strip()
    pods, start = "/api/v1/namespaces/default/pods", cluster.audit_log.stat().st_size
    for path in (pods, f"{pods}?watch=1&timeoutSeconds=1", f"{pods}/none", "/api/v1/nodes?watch=1", "/version"):
        cluster.kubectl("get", f"--raw={path}", f"--token={token}", check=False)
        cluster.kubectl("get", f"--raw={path}", "--request-timeout=2s", check=False)

    def asked() -> Counter[tuple[str, str]]:
        with cluster.audit_log.open("rb") as log:
            log.seek(start)
            return agent_requests(line.decode() for line in log)

    until(asked, lambda found: found.total() >= 5, lambda: cluster.audit_log.read_text())
    # One is refused, one finds nothing: they were asked for all the same.
    assert asked() == {("list", "pods"): 1, ("watch", "pods"): 1, ("get", "pods"): 1, ("watch", "nodes"): 1, ("get", "/version"): 1}
    assert writes(cluster.audit_log, start) == []


def test_a_restart_of_the_api_server_keeps_data_and_address(cluster: Cluster) -> None:
    cluster.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    before = cluster.pids["kube-apiserver"]
    cluster.restart_apiserver()
    assert cluster.pids["kube-apiserver"] != before
    assert cluster.kubectl("get", "configmap", "kept", "--output=jsonpath={.data.a}").stdout == "b"


def test_while_the_api_server_is_away_nobody_answers(cluster: Cluster) -> None:
    cluster.stop_apiserver()
    assert " was refused " in cluster.kubectl("get", "nodes", check=False).stderr
    cluster.start_apiserver()
    assert cluster.kubectl("get", "--raw", "/readyz").stdout == "ok"
