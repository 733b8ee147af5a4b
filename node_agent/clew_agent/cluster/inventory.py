"""The inventory of cluster mode: this node's pods, the pods and services that they may speak to, and the labels of namespaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clew_crds import TracingPolicy

from clew_agent.cluster import Object
from clew_agent.cluster.cgroups import find
from clew_agent.cluster.client import Api
from clew_agent.cluster.pods import OwnPod, ServiceAddresses, node_addresses, own_pod, peers, service_addresses
from clew_agent.cluster.watch import Resource, Watch
from clew_agent.model import Address, Inventory, Pod

_CGROUPS = Path("/sys/fs/cgroup")
_WATCHES_MOST = 8  # namespaces that are watched one by one; more are watched by one watch of the whole cluster
_EVERYWHERE = ""
_AGENTS = "app.kubernetes.io/name=clew,app.kubernetes.io/component=agent"  # as the chart labels them
_NONE: Mapping[str, Any] = MappingProxyType({})

# Endpoint slices, services, and the pods that are on their host's network, each by uid.
_Known = tuple[Mapping[str, tuple[Pod, ...]], Mapping[str, ServiceAddresses], Mapping[str, bool]]


class ClusterInventory:
    """An ``InventorySource`` over watches. The agent's thread alone calls it; it never blocks."""

    def __init__(self, api: Api, node: str, policies: Callable[[], tuple[TracingPolicy, ...]], namespace: str = _EVERYWHERE) -> None:
        """``policies`` say in which namespaces peers are of interest; ``namespace`` is that of the agents."""
        self._api = api
        # A node's address is told by the agent's pod on it: nodes themselves change with every heartbeat. Watched where it is asked for.
        self._agents_path = f"/api/v1/{_below(namespace)}pods"
        self._agents: Watch[tuple[Address, ...]] | None = None
        self._policies = policies
        own = Resource("/api/v1/pods", {"fieldSelector": f"spec.nodeName={node}"})
        self._pods: Watch[OwnPod] = Watch(api, own, own_pod)
        self._namespaces: Watch[tuple[str, Mapping[str, str]]] = Watch(api, Resource("/api/v1/namespaces", {}, metadata_only=True), _labels)
        self._neighbours: dict[str, _Neighbours] = {}
        self._cgroups: dict[str, str] = {}
        self._seen: tuple[object, ...] = ()
        self._inventory = Inventory()

    def current(self) -> Inventory:
        """The latest inventory. Costs a few ``stat`` for a pod whose cgroup is not there yet."""
        self._choose_namespaces()
        pods = self._pods.known() or {}
        found = self._find_cgroups(pods)
        neighbours = [watched.known() for watched in self._neighbours.values()]
        agents = self._agents.known() if self._agents is not None else None
        seen = (pods, self._namespaces.known(), agents, *(part for known in neighbours for part in known))
        if found or len(seen) != len(self._seen) or any(new is not old for new, old in zip(seen, self._seen, strict=True)):
            self._seen = seen
            self._inventory = self._gather(pods, neighbours, agents or _NONE)
            if self._inventory.node_ports and self._agents is None:
                self._agents = Watch(self._api, Resource(self._agents_path, {"labelSelector": _AGENTS}), node_addresses)
        return self._inventory

    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of all namespaces."""
        return dict((self._namespaces.known() or {}).values())

    def _gather(self, pods: Mapping[str, OwnPod], neighbours: Iterable[_Known], agents: Mapping[str, tuple[Address, ...]]) -> Inventory:
        own = [_with_cgroup(one.pod, self._cgroups.get(uid, "")) for uid, one in pods.items()]
        # A pod stands in a slice for each of its services and families.
        others: dict[tuple[str, str], Pod] = {}
        names: dict[Address, str] = {}
        ports: dict[int, str] = {}
        for slices, services, on_host in neighbours:
            names.update((address, service.name) for service in services.values() for address in service.addresses)
            ports.update((port, service.name) for service in services.values() for port in service.node_ports)
            for pod in (pod for listed in slices.values() for pod in listed):
                if pod.uid not in pods and pod.uid not in on_host:
                    before = others.get((pod.namespace, pod.name))
                    others[pod.namespace, pod.name] = pod if before is None else _merge(before, pod)
        nodes = frozenset(address for known in agents.values() for address in known)
        return Inventory((*own, *others.values()), names, ports, nodes)

    def _find_cgroups(self, pods: Mapping[str, OwnPod]) -> bool:
        """Look for the cgroups that were not there yet; True where one has been found, or its pod has gone."""
        gone = self._cgroups.keys() - pods.keys()
        for uid in gone:
            del self._cgroups[uid]
        found = {uid: path for uid, one in pods.items() if uid not in self._cgroups and (path := find(one.cgroup_uid, one.qos, _exists))}
        self._cgroups.update(found)
        return bool(found or gone)

    def _choose_namespaces(self) -> None:
        wanted = traced_namespaces(self._policies(), self.namespaces())
        chosen = wanted if len(wanted) <= _WATCHES_MOST else frozenset({_EVERYWHERE})
        for namespace in self._neighbours.keys() - chosen:
            self._neighbours.pop(namespace).stop()
        for namespace in chosen - self._neighbours.keys():
            self._neighbours[namespace] = _Neighbours(self._api, _below(namespace))


class _Neighbours:
    """The watches of those whom pods may speak to: of one namespace, or of all."""

    def __init__(self, api: Api, below: str) -> None:
        self._slices = Watch(api, Resource(f"/apis/discovery.k8s.io/v1/{below}endpointslices", {}), peers)
        self._services = Watch(api, Resource(f"/api/v1/{below}services", {}), service_addresses)
        # A slice does not tell which of its pods are on their host's network: their address is the node's, and that of much else.
        on_host = Resource(f"/api/v1/{below}pods", {"fieldSelector": "spec.hostNetwork=true"}, metadata_only=True)
        self._on_host = Watch(api, on_host, lambda _: True)

    def known(self) -> _Known:
        """The same mappings until something changes. No pod is known before it is known which are on their host's network."""
        on_host = self._on_host.known()
        slices = self._slices.known() if on_host is not None else None
        return slices or _NONE, self._services.known() or _NONE, on_host or _NONE

    def stop(self) -> None:
        """End the watches."""
        for watch in (self._slices, self._services, self._on_host):
            watch.stop()


def traced_namespaces(policies: Iterable[TracingPolicy], namespaces: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    """The namespaces that policies name, or select by their labels. Pure."""
    found: set[str] = set()
    for policy in policies:
        found.update(policy.spec.namespaces)
        if (selector := policy.spec.namespace_selector) is not None:
            found.update(name for name, labels in namespaces.items() if selector.matches(labels))
    return frozenset(found)


def _below(namespace: str) -> str:
    return f"namespaces/{namespace}/" if namespace else ""


def _labels(item: Object) -> tuple[str, Mapping[str, str]]:
    return item["metadata"]["name"], item["metadata"].get("labels") or {}


def _with_cgroup(pod: Pod, cgroup: str) -> Pod:
    return pod if pod.cgroup == cgroup else replace(pod, cgroup=cgroup)


def _merge(one: Pod, other: Pod) -> Pod:
    return replace(one, addresses=tuple(dict.fromkeys((*one.addresses, *other.addresses))))


def _exists(cgroup: str) -> bool:
    return os.path.isdir(_CGROUPS / cgroup.lstrip("/"))
