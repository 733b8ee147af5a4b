"""From the API's pods, services and endpoint slices to the agent's vocabulary. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from clew_agent.cluster import Object
from clew_agent.model import Address, Pod, Run, Workload
from clew_agent.spans.resource import ANNOTATION_PREFIX

_ENDED = ("Succeeded", "Failed")
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_SERVICE_LABEL = "kubernetes.io/service-name"
_HASH_LABEL = "pod-template-hash"
_STATIC = "kubernetes.io/config.hash"
# Kubernetes makes hashes and random parts of names from these alone (apimachinery, util/rand).
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
_OF_CRON_JOB = re.compile(r"(.+)-([0-9]{8})")
_CLOCKS_DIFFER, _STARTS_LATE = timedelta(minutes=1), timedelta(hours=1)
_OF_DEPLOYMENT = re.compile(rf"(.+)-{_RANDOM}{{1,10}}-{_RANDOM}{{5}}")


@dataclass(frozen=True, slots=True)
class OwnPod:
    """A pod of this node, and what its cgroup's path is made from."""

    pod: Pod
    cgroup_uid: str
    qos: str


@dataclass(frozen=True, slots=True)
class ServiceAddresses:
    """Where a service is asked: its addresses, and the ports of TCP at which every node forwards to it."""

    name: str
    addresses: tuple[Address, ...]
    node_ports: tuple[int, ...] = ()


def own_pod(item: Object) -> OwnPod | None:
    """A pod of this node; None for one whose containers have ended.

    A pod on the host's network has no address of its own: the node's tells nothing of it. Of a static pod the API has a mirror; its
    cgroup goes by the hash of its file, which is its uid for the kubelet.
    """
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    if status.get("phase") in _ENDED:
        return None
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    made_by = maker(metadata)
    listed = () if spec.get("hostNetwork") else status.get("podIPs") or ()
    pod = Pod(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        node=spec.get("nodeName", ""),
        addresses=tuple(address for one in listed if (address := parse_address(one.get("ip")))),
        workload=workload(made_by, labels, metadata.get("creationTimestamp")),
        maker=made_by,
        containers=tuple(container["name"] for kind in _CONTAINERS for container in spec.get(kind) or ()),
        runs={found: run for kind in _STATUSES for one in status.get(kind) or () for found, run in _runs(one)},
        labels=dict(labels),
        annotations={key: value for key, value in annotations.items() if key.startswith(ANNOTATION_PREFIX)},
    )
    return OwnPod(pod, annotations.get(_STATIC, pod.uid), status.get("qosClass", ""))


def _runs(status: Object) -> Iterator[tuple[str, Run]]:
    """The run of a container that its status tells of, by the runtime's ID, and the one before, whose last records may still come."""
    restarts = int(status.get("restartCount") or 0)
    before = ((status.get("lastState") or {}).get("terminated") or {}).get("containerID")
    for container, number in ((before, restarts - 1), (status.get("containerID"), restarts)):
        found = (container or "").partition("://")[2]
        if found:
            yield found, Run(status["name"], max(number, 0))


def maker(metadata: Object) -> Workload | None:
    """What made a pod, of any kind. The node, which owns the mirror of a static pod, is none."""
    owner = next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), None)
    if owner is None or owner["kind"] == "Node":
        return None
    return Workload(owner["kind"], owner["name"], owner.get("uid", ""))


def workload(made_by: Workload | None, labels: Mapping[str, str], created: str | None) -> Workload | None:
    """What a pod belongs to: what made it, or what made that, where the pod tells so for certain.

    A ReplicaSet that a Deployment made is named after it, with the pods' template hash behind; only Deployments put that on pods. A Job
    that a CronJob made is named after it, with the minute of Unix time behind for which it was scheduled, which is that in which the
    pod was made, or soon before.
    """
    if made_by is None:
        return None
    suffix = f"-{labels[_HASH_LABEL]}" if labels.get(_HASH_LABEL) else ""
    if made_by.kind == "ReplicaSet" and suffix and made_by.name.endswith(suffix):
        return Workload("Deployment", made_by.name.removesuffix(suffix))
    scheduled = _OF_CRON_JOB.fullmatch(made_by.name) if made_by.kind == "Job" and created else None
    if scheduled and created:
        late = datetime.fromisoformat(created) - datetime.fromtimestamp(int(scheduled[2]) * 60, UTC)
        if -_CLOCKS_DIFFER <= late <= _STARTS_LATE:
            return Workload("CronJob", scheduled[1])
    return made_by


def peers(item: Object) -> tuple[Pod, ...]:
    """The pods behind an endpoint slice.

    It does not tell what owns them. A Deployment shows in their names; for all others the service's name stands.
    """
    metadata = item["metadata"]
    service = (metadata.get("labels") or {}).get(_SERVICE_LABEL, "")
    found = []
    for endpoint in item.get("endpoints") or ():
        target = endpoint.get("targetRef") or {}
        addresses = tuple(address for text in endpoint.get("addresses") or () if (address := parse_address(text)))
        if target.get("kind") == "Pod" and addresses:
            found.append(
                Pod(
                    name=target["name"],
                    namespace=target.get("namespace", metadata["namespace"]),
                    uid=target.get("uid", ""),
                    node=endpoint.get("nodeName", ""),
                    addresses=addresses,
                    workload=_workload_of_peer(target["name"], service),
                )
            )
    return tuple(found)


def service_addresses(item: Object) -> ServiceAddresses:
    """Where a service is asked: within the cluster, under external addresses, by its load balancer; a headless one nowhere."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    balancers = ((status.get("loadBalancer") or {}).get("ingress")) or ()
    listed = (*(spec.get("clusterIPs") or ()), *(spec.get("externalIPs") or ()), *(one.get("ip") for one in balancers))
    ports = (port.get("nodePort") for port in spec.get("ports") or () if port.get("protocol", "TCP") == "TCP")
    return ServiceAddresses(
        item["metadata"]["name"],
        tuple(address for text in listed if (address := parse_address(text))),
        tuple(port for port in ports if port),
    )


def node_addresses(item: Object) -> tuple[Address, ...]:
    """The addresses of the node that a pod is on; of a pod that is on none yet, nothing."""
    status = item.get("status") or {}
    listed = status.get("hostIPs") or [{"ip": status.get("hostIP")}]
    return tuple(address for one in listed if (address := parse_address(one.get("ip"))))


def parse_address(text: str | None) -> Address | None:
    """An IP address, or None for what is none (``None`` of a headless service, a host name)."""
    try:
        return ip_address(text or "")
    except ValueError:
        return None


def _workload_of_peer(pod: str, service: str) -> Workload | None:
    if found := _OF_DEPLOYMENT.fullmatch(pod):
        return Workload("Deployment", found[1])
    return Workload("Service", service) if service else None
