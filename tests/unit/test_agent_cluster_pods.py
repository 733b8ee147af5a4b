"""From the API's objects to pods, workloads, peers and services."""

from ipaddress import ip_address
from typing import Any

import pytest
from clew_agent.cluster.inventory import traced_namespaces
from clew_agent.cluster.pods import ServiceAddresses, own_pod, parse_address, peers, service_addresses
from clew_agent.model import Pod, Workload
from clew_crds import TracingPolicy

REPLICA_SET = {"kind": "ReplicaSet", "name": "web-5d8f7c9b6", "controller": True}


def pod(**changes: Any) -> dict[str, Any]:
    metadata = {
        "name": "web-5d8f7c9b6-x2x4v",
        "namespace": "shop",
        "uid": "u1",
        "labels": {"app": "web", "pod-template-hash": "5d8f7c9b6"},
        "annotations": {"resource.opentelemetry.io/service.name": "shopfront", "kubectl.kubernetes.io/other": "long"},
        "ownerReferences": [REPLICA_SET],
        **changes.pop("metadata", {}),
    }
    spec = {"nodeName": "n1", "containers": [{"name": "main"}, {"name": "side"}], **changes.pop("spec", {})}
    status = {"phase": "Running", "qosClass": "Burstable", "podIPs": [{"ip": "10.1.0.7"}, {"ip": "fd00::7"}], **changes.pop("status", {})}
    return {"metadata": metadata, "spec": spec, "status": status}


def test_a_pod_of_this_node() -> None:
    found = own_pod(pod())
    assert found is not None
    assert (found.cgroup_uid, found.qos) == ("u1", "Burstable")
    assert found.pod == Pod(
        "web-5d8f7c9b6-x2x4v",
        "shop",
        "u1",
        "n1",
        addresses=(ip_address("10.1.0.7"), ip_address("fd00::7")),
        workload=Workload("Deployment", "web"),
        containers=("main", "side"),
        labels={"app": "web", "pod-template-hash": "5d8f7c9b6"},
        annotations={"resource.opentelemetry.io/service.name": "shopfront"},
    )


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_none(phase: str) -> None:
    assert own_pod(pod(status={"phase": phase})) is None


def test_a_pod_that_waits_for_its_address() -> None:
    found = own_pod({"metadata": {"name": "a", "namespace": "b", "uid": "c"}, "spec": {"nodeName": "n1"}})
    assert found is not None
    assert (found.pod.addresses, found.pod.workload, found.qos) == ((), None, "")


def test_the_nodes_address_tells_nothing_of_a_pod_on_its_network() -> None:
    found = own_pod(pod(spec={"hostNetwork": True}))
    assert found is not None
    assert found.pod.addresses == ()


def test_the_cgroup_of_a_static_pod_goes_by_its_files_hash() -> None:
    found = own_pod(pod(metadata={"annotations": {"kubernetes.io/config.hash": "abcd"}}))
    assert found is not None
    assert (found.pod.uid, found.cgroup_uid) == ("u1", "abcd")


@pytest.mark.parametrize(
    ("owners", "labels", "expected"),
    [
        ([REPLICA_SET], {"pod-template-hash": "5d8f7c9b6"}, Workload("Deployment", "web")),
        ([REPLICA_SET], {}, Workload("ReplicaSet", "web-5d8f7c9b6")),
        ([REPLICA_SET], {"pod-template-hash": "other"}, Workload("ReplicaSet", "web-5d8f7c9b6")),
        ([{"kind": "StatefulSet", "name": "db", "controller": True}], {}, Workload("StatefulSet", "db")),
        ([{"kind": "DaemonSet", "name": "log", "controller": True}], {}, Workload("DaemonSet", "log")),
        ([{"kind": "ConfigMap", "name": "x"}, {"kind": "Job", "name": "once", "controller": True}], {}, Workload("Job", "once")),
        ([{"kind": "Node", "name": "n1"}], {}, None),
        ([], {}, None),
    ],
)
def test_workloads(owners: list[dict[str, Any]], labels: dict[str, str], expected: Workload | None) -> None:
    found = own_pod(pod(metadata={"ownerReferences": owners, "labels": labels}))
    assert found is not None
    assert found.pod.workload == expected


def endpoint(name: str, *addresses: str, kind: str = "Pod") -> dict[str, Any]:
    return {
        "addresses": list(addresses),
        "nodeName": "n2",
        "targetRef": {"kind": kind, "name": name, "namespace": "shop", "uid": f"u-{name}"},
    }


def test_the_pods_behind_a_slice() -> None:
    item = {
        "metadata": {"name": "s", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
        "endpoints": [
            endpoint("cart-7c9fb5d6d8-abcde", "10.1.0.8"),
            endpoint("cart-7c9fb5d6d8-x2x4v", "10.1.0.9"),
            endpoint("db-0", "10.1.0.10"),
            endpoint("outside", "10.1.0.11", kind="Node"),
            {"addresses": ["10.1.0.12"]},
        ],
    }
    assert [(found.name, found.uid, found.node, found.addresses, found.workload) for found in peers(item)] == [
        # "a" and "e" are never in what Kubernetes makes up.
        ("cart-7c9fb5d6d8-abcde", "u-cart-7c9fb5d6d8-abcde", "n2", (ip_address("10.1.0.8"),), Workload("Service", "cart")),
        ("cart-7c9fb5d6d8-x2x4v", "u-cart-7c9fb5d6d8-x2x4v", "n2", (ip_address("10.1.0.9"),), Workload("Deployment", "cart")),
        ("db-0", "u-db-0", "n2", (ip_address("10.1.0.10"),), Workload("Service", "cart")),
    ]


def test_a_slice_without_endpoints() -> None:
    assert peers({"metadata": {"name": "s", "namespace": "shop"}, "endpoints": None}) == ()


@pytest.mark.parametrize(
    ("spec", "addresses"),
    [
        ({"clusterIPs": ["10.96.0.7", "fd00:96::7"]}, ("10.96.0.7", "fd00:96::7")),
        ({"clusterIPs": ["None"]}, ()),
        ({"type": "ExternalName"}, ()),
    ],
)
def test_services(spec: dict[str, Any], addresses: tuple[str, ...]) -> None:
    found = service_addresses({"metadata": {"name": "cart"}, "spec": spec})
    assert found == ServiceAddresses("cart", tuple(ip_address(address) for address in addresses))


@pytest.mark.parametrize("text", ["", "None", "cart.shop", None])
def test_no_address(text: str | None) -> None:
    assert parse_address(text) is None


def test_traced_namespaces() -> None:
    def policy(name: str, **spec: object) -> TracingPolicy:
        return TracingPolicy.model_validate(
            {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "metadata": {"name": name}, "spec": spec}
        )

    policies = [policy("a", namespaces=["shop", "gone"]), policy("b", namespaceSelector={"matchLabels": {"team": "x"}})]
    namespaces = {"shop": {}, "one": {"team": "x"}, "two": {"team": "y"}}
    assert traced_namespaces(policies, namespaces) == {"shop", "gone", "one"}
