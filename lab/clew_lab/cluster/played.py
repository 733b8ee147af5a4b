"""Nodes that kwok plays: what they look like, and adding many of them.

A node of kwok's becomes Ready, keeps its lease, and "runs" pods by saying so; nothing is executed.
"""

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clew_lab.cluster.components import PLAYED, PLAYED_BY_KWOK

__all__ = ["KERNELS", "ZONES", "create_and_await", "node", "not_ready"]

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
            "annotations": {PLAYED: PLAYED_BY_KWOK},
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


def not_ready() -> dict[str, Any]:
    """Return the patch of a node's status that says what a kubelet in trouble would."""
    condition = {"type": "Ready", "status": "False", "reason": "LabSaysSo", "message": "not ready, since the lab wants it so"}
    return {"status": {"conditions": [condition]}}


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
        deadline = time.monotonic() + _READY_SECONDS
        while awaited:  # a watch tells what there is, then what changes, and may end at any time
            left = deadline - time.monotonic()
            if left < 1:
                raise TimeoutError(f"{len(awaited)} nodes are not Ready after {_READY_SECONDS} s, {min(awaited)} among them: see kwok.log")
            seen = watch.Watch().stream(core.list_node, timeout_seconds=int(left), deserialize=False)  # type: ignore[no-untyped-call]
            for event in seen:
                if _is_ready(event["object"]):
                    awaited.discard(event["object"]["metadata"]["name"])
                if not awaited:
                    break


def _is_ready(made: Mapping[str, Any]) -> bool:
    conditions = made["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
