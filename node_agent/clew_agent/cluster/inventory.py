"""The inventory of cluster mode: this node's pods, the pods and services that they may speak to, and the labels of namespaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from clew_crds import TracingPolicy

from clew_agent.cluster import Object
from clew_agent.cluster.cgroups import find
from clew_agent.cluster.client import Api
from clew_agent.cluster.pods import OwnPod, ServiceAddresses, own_pod, peers, service_addresses
from clew_agent.cluster.watch import Resource, Watch
from clew_agent.model import Address, Inventory, Pod

_CGROUPS = Path("/sys/fs/cgroup")
_WATCHES_MOST = 8  # namespaces that are watched one by one; more are watched by one watch of the whole cluster
_EVERYWHERE = ""


class ClusterInventory:
    """An ``InventorySource`` over watches. The agent's thread alone calls it; it never blocks."""

    def __init__(self, api: Api, node: str, policies: Callable[[], tuple[TracingPolicy, ...]]) -> None:
        """``policies`` say in which namespaces peers are of interest."""
        self._api = api
        self._policies = policies
        own = Resource("/api/v1/pods", {"fieldSelector": f"spec.nodeName={node}"})
        self._pods: Watch[OwnPod] = Watch(api, own, own_pod)
        self._namespaces: Watch[tuple[str, Mapping[str, str]]] = Watch(api, Resource("/api/v1/namespaces", {}, metadata_only=True), _labels)
        self._slices: dict[str, Watch[tuple[Pod, ...]]] = {}
        self._services: dict[str, Watch[ServiceAddresses]] = {}
        self._cgroups: dict[str, str] = {}
        self._seen: tuple[object, ...] = ()
        self._inventory = Inventory()

    def current(self) -> Inventory:
        """The latest inventory. Costs a few ``stat`` for a pod whose cgroup is not there yet."""
        self._choose_namespaces()
        pods = self._pods.known() or {}
        found = self._find_cgroups(pods)
        slices = [watch.known() for watch in self._slices.values()]
        services = [watch.known() for watch in self._services.values()]
        seen = (pods, self._namespaces.known(), *slices, *services)
        if found or len(seen) != len(self._seen) or any(new is not old for new, old in zip(seen, self._seen, strict=True)):
            self._seen = seen
            self._inventory = self._gather(pods, slices, services)
        return self._inventory

    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of all namespaces."""
        return dict((self._namespaces.known() or {}).values())

    def _gather(
        self,
        pods: Mapping[str, OwnPod],
        slices: Iterable[Mapping[str, tuple[Pod, ...]] | None],
        services: Iterable[Mapping[str, ServiceAddresses] | None],
    ) -> Inventory:
        own = [_with_cgroup(one.pod, self._cgroups.get(uid, "")) for uid, one in pods.items()]
        # A pod stands in a slice for each of its services and families.
        others: dict[tuple[str, str], Pod] = {}
        for known in slices:
            for pod in (pod for listed in (known or {}).values() for pod in listed):
                if pod.uid not in pods:
                    before = others.get((pod.namespace, pod.name))
                    others[pod.namespace, pod.name] = pod if before is None else _merge(before, pod)
        names: dict[Address, str] = {
            address: service.name for known in services for service in (known or {}).values() for address in service.addresses
        }
        return Inventory((*own, *others.values()), names)

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
        for namespace in self._slices.keys() - chosen:
            self._slices.pop(namespace).stop()
            self._services.pop(namespace).stop()
        for namespace in chosen - self._slices.keys():
            below = f"namespaces/{namespace}/" if namespace else ""
            self._slices[namespace] = Watch(self._api, Resource(f"/apis/discovery.k8s.io/v1/{below}endpointslices", {}), peers)
            self._services[namespace] = Watch(self._api, Resource(f"/api/v1/{below}services", {}), service_addresses)


def traced_namespaces(policies: Iterable[TracingPolicy], namespaces: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    """The namespaces that policies name, or select by their labels. Pure."""
    found: set[str] = set()
    for policy in policies:
        found.update(policy.spec.namespaces)
        if (selector := policy.spec.namespace_selector) is not None:
            found.update(name for name, labels in namespaces.items() if selector.matches(labels))
    return frozenset(found)


def _labels(item: Object) -> tuple[str, Mapping[str, str]]:
    return item["metadata"]["name"], item["metadata"].get("labels") or {}


def _with_cgroup(pod: Pod, cgroup: str) -> Pod:
    return pod if pod.cgroup == cgroup else replace(pod, cgroup=cgroup)


def _merge(one: Pod, other: Pod) -> Pod:
    return replace(one, addresses=tuple(dict.fromkeys((*one.addresses, *other.addresses))))


def _exists(cgroup: str) -> bool:
    return os.path.isdir(_CGROUPS / cgroup.lstrip("/"))
