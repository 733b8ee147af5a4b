"""From the API's objects to pods, workloads, peers and services."""

from ipaddress import ip_address
from typing import Any

import pytest
from clew_agent.cluster.inventory import traced_namespaces
from clew_agent.cluster.pods import ServiceAddresses, node_addresses, own_pod, parse_address, peers, service_addresses
from clew_agent.model import Pod, Run, Workload
from clew_agent.spans.resource import pod_resource
from clew_crds import TracingPolicy

REPLICA_SET = {"kind": "ReplicaSet", "name": "web-5d8f7c9b6", "uid": "r1", "controller": True}


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
        maker=Workload("ReplicaSet", "web-5d8f7c9b6", "r1"),
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


def owner(kind: str, name: str, **changes: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "name": name, "uid": f"u-{name}", "controller": True, "blockOwnerDeletion": True, **changes}


@pytest.mark.parametrize(
    ("owners", "labels", "expected"),
    [
        ([REPLICA_SET], {"pod-template-hash": "5d8f7c9b6"}, Workload("Deployment", "web")),
        ([REPLICA_SET], {}, Workload("ReplicaSet", "web-5d8f7c9b6", "r1")),
        ([REPLICA_SET], {"pod-template-hash": "other"}, Workload("ReplicaSet", "web-5d8f7c9b6", "r1")),
        ([owner("StatefulSet", "db")], {"statefulset.kubernetes.io/pod-name": "db-0"}, Workload("StatefulSet", "db", "u-db")),
        ([owner("DaemonSet", "log")], {"controller-revision-hash": "65b"}, Workload("DaemonSet", "log", "u-log")),
        ([owner("ReplicationController", "old")], {}, Workload("ReplicationController", "old", "u-old")),
        ([owner("CloneSet", "web")], {}, Workload("CloneSet", "web", "u-web")),
        ([{"kind": "ConfigMap", "name": "x"}, owner("Job", "once")], {}, Workload("Job", "once", "u-once")),
        # The mirror of a static pod.
        ([owner("Node", "n1")], {}, None),
        ([owner("ReplicaSet", "web", controller=False)], {}, None),
        ([], {}, None),
    ],
)
def test_workloads(owners: list[dict[str, Any]], labels: dict[str, str], expected: Workload | None) -> None:
    found = own_pod(pod(metadata={"ownerReferences": owners, "labels": labels}))
    assert found is not None
    assert found.pod.workload == expected


@pytest.mark.parametrize(
    ("job", "created", "expected"),
    [
        # 29401320 minutes: 2025-11-25T14:00:00Z.
        ("mail-29401320", "2025-11-25T14:00:01Z", Workload("CronJob", "mail")),
        ("mail-at-night-29401320", "2025-11-25T14:59:59Z", Workload("CronJob", "mail-at-night")),
        ("mail-29401320", "2025-11-25T13:59:30Z", Workload("CronJob", "mail")),
        # The number is no minute in which the pod can have been scheduled, or none at all: a Job that is called so.
        ("mail-29401320", "2025-11-25T15:00:01Z", None),
        ("mail-29401320", "2025-11-25T13:58:00Z", None),
        ("mail-12345678", "2025-11-25T14:00:01Z", None),
        ("mail-2940132", "2025-11-25T14:00:01Z", None),
        ("29401320", "2025-11-25T14:00:01Z", None),
        ("mail-29401320", None, None),
    ],
)
def test_a_job_of_a_cron_job(job: str, created: str | None, expected: Workload | None) -> None:
    metadata = {"ownerReferences": [owner("Job", job)], "labels": {"batch.kubernetes.io/job-name": job}, "creationTimestamp": created}
    found = own_pod(pod(metadata=metadata))
    assert found is not None
    assert found.pod.maker == Workload("Job", job, f"u-{job}")
    assert found.pod.workload == (expected or found.pod.maker)


ONE, TWO, THREE, FOUR = (f"{number:064x}" for number in (0xA1, 0xB2, 0xC3, 0xD4))


def test_the_runs_of_all_kinds_of_containers() -> None:
    spec = {
        "containers": [{"name": "main"}],
        "initContainers": [{"name": "migrate"}, {"name": "proxy", "restartPolicy": "Always"}],
        "ephemeralContainers": [{"name": "debugger-x2x4v", "targetContainerName": "main"}],
        "shareProcessNamespace": True,
    }
    status = {
        "containerStatuses": [{"name": "main", "containerID": f"containerd://{ONE}", "restartCount": 0, "state": {"running": {}}}],
        "initContainerStatuses": [
            {"name": "migrate", "containerID": f"containerd://{TWO}", "restartCount": 0, "state": {"terminated": {"containerID": TWO}}},
            {"name": "proxy", "containerID": f"containerd://{THREE}", "restartCount": 0, "started": True, "state": {"running": {}}},
        ],
        "ephemeralContainerStatuses": [{"name": "debugger-x2x4v", "containerID": f"containerd://{FOUR}", "restartCount": 0}],
    }
    found = own_pod(pod(spec=spec, status=status))
    assert found is not None
    assert found.pod.containers == ("main", "migrate", "proxy", "debugger-x2x4v")
    assert found.pod.runs == {ONE: Run("main", 0), TWO: Run("migrate", 0), THREE: Run("proxy", 0), FOUR: Run("debugger-x2x4v", 0)}


def test_a_restart() -> None:
    """The pod, its uid and its cgroup stay; the records of the run before may still come."""
    restarted = {
        "name": "main",
        "containerID": f"cri-o://{TWO}",
        "restartCount": 3,
        "lastState": {"terminated": {"containerID": f"cri-o://{ONE}", "exitCode": 137, "reason": "OOMKilled"}},
    }
    waiting = {"name": "side", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}
    before, found = own_pod(pod()), own_pod(pod(status={"containerStatuses": [restarted, waiting]}))
    assert before is not None
    assert found is not None
    assert found.pod.runs == {ONE: Run("main", 2), TWO: Run("main", 3)}
    assert (found.cgroup_uid, found.qos, found.pod.uid) == (before.cgroup_uid, before.qos, before.pod.uid)


def test_a_static_pod_on_the_hosts_network() -> None:
    """As the kubelet mirrors it."""
    found = own_pod(
        pod(
            metadata={
                "name": "etcd-n1",
                "uid": "0e8c3a4e",
                "labels": {"component": "etcd", "tier": "control-plane"},
                "annotations": {
                    "kubernetes.io/config.hash": "a0b1c2",
                    "kubernetes.io/config.mirror": "a0b1c2",
                    "kubernetes.io/config.source": "file",
                },
                "ownerReferences": [owner("Node", "n1")],
            },
            spec={"hostNetwork": True, "containers": [{"name": "etcd"}]},
            status={"hostIP": "10.9.0.1", "podIPs": [{"ip": "10.9.0.1"}], "containerStatuses": [{"name": "etcd", "restartCount": 0}]},
        )
    )
    assert found is not None
    assert (found.cgroup_uid, found.pod.uid, found.pod.addresses) == ("a0b1c2", "0e8c3a4e", ())
    assert (found.pod.workload, found.pod.maker, found.pod.runs) == (None, None, {})
    assert pod_resource(found.pod, {}) == {
        "k8s.pod.name": "etcd-n1",
        "k8s.namespace.name": "shop",
        "k8s.pod.uid": "0e8c3a4e",
        "k8s.node.name": "n1",
        "k8s.container.name": "etcd",
        "service.name": "etcd-n1",
        "service.namespace": "shop",
        "service.instance.id": "shop.etcd-n1.etcd",
    }


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


def test_a_service_that_is_asked_from_outside() -> None:
    spec = {
        "clusterIPs": ["10.96.0.7"],
        "externalIPs": ["192.0.2.7"],
        "ports": [
            {"port": 80, "nodePort": 30080, "protocol": "TCP"},
            {"port": 53, "nodePort": 30053, "protocol": "UDP"},
            {"port": 81, "nodePort": 30081},
            {"port": 82},
        ],
    }
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.8"}, {"hostname": "cart.example"}]}}
    found = service_addresses({"metadata": {"name": "cart"}, "spec": spec, "status": status})
    addresses = tuple(ip_address(text) for text in ("10.96.0.7", "192.0.2.7", "192.0.2.8"))
    assert found == ServiceAddresses("cart", addresses, (30080, 30081))


@pytest.mark.parametrize(
    ("status", "addresses"),
    [
        ({"hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}]}, ("192.0.2.1", "2001:db8::1")),
        ({"hostIP": "192.0.2.1"}, ("192.0.2.1",)),
        ({}, ()),
    ],
)
def test_the_node_of_a_pod(status: dict[str, Any], addresses: tuple[str, ...]) -> None:
    assert node_addresses({"status": status}) == tuple(map(ip_address, addresses))


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
