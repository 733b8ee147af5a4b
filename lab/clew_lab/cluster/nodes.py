"""Nodes that kwok plays: what they look like, and adding many of them.

A node of kwok's becomes Ready, keeps its lease, and "runs" pods by saying so; nothing is executed.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

__all__ = ["KERNELS", "ZONES", "create_and_await", "node"]

KERNELS = ("6.1.0-56-amd64", "6.12.107+deb13-amd64")
ZONES = ("a", "b", "c")
_AT_ONCE = 8
_READY_SECONDS = 300
# The client takes no NodeInfo in which one of them is missing; kwok fills in what is empty.
_LEFT_TO_KWOK = ("bootID", "containerRuntimeVersion", "kubeProxyVersion", "kubeletVersion", "machineID", "osImage", "systemUUID")


def node(name: str, number: int, zones: Sequence[str], kernels: Sequence[str]) -> dict[str, Any]:
    """Return the Node object of that name; `number` chooses its zone and its kernel in turn.

    Raises ``ValueError`` for a kernel that is no release such as 6.1.0-56-amd64: kwok would take 6.1 for a number.
    """
    kernel = kernels[number // len(zones) % len(kernels)]
    if not re.match(r"\d+\.\d+\.\d+", kernel):
        raise ValueError(f"{kernel!r} is no release of a kernel as `uname -r` says it, such as {KERNELS[0]}")
    resources = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    machine = {"architecture": "amd64", "kernelVersion": kernel, "operatingSystem": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": zones[number % len(zones)],
            },
        },
        "status": {
            "allocatable": resources,
            "capacity": resources,
            "nodeInfo": {**dict.fromkeys(_LEFT_TO_KWOK, ""), **machine},
        },
    }


def create_and_await(kubeconfig: Path, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Create the nodes and return when all are Ready.

    Raises ``kubernetes.client.ApiException`` when one is refused, and ``TimeoutError`` when kwok does not play them.
    """
    from kubernetes import client, config, watch  # takes half a second, which most of the lab's commands need not spend

    with config.new_client_from_config(str(kubeconfig)) as connection:  # type: ignore[no-untyped-call]
        core = client.CoreV1Api(connection)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(core.create_node, nodes))
        awaited = {str(made["metadata"]["name"]) for made in nodes}
        seen = watch.Watch().stream(core.list_node, timeout_seconds=_READY_SECONDS, deserialize=False)  # type: ignore[no-untyped-call]
        for event in seen:
            if _is_ready(event["object"]):
                awaited.discard(event["object"]["metadata"]["name"])
            if not awaited:
                return
    raise TimeoutError(f"not Ready after {_READY_SECONDS} s: {', '.join(sorted(awaited))}; kwok.log in the cluster's folder may say why")


def _is_ready(made: Mapping[str, Any]) -> bool:
    conditions = made["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
