"""The content of a pods file to an inventory, with errors that name the field. Pure.

Unknown fields are refused: a misspelt ``adresses`` would otherwise be a pod without addresses, which nobody notices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeVar

from clew_agent.cluster.cgroups import container_id
from clew_agent.model import Address, Inventory, Pod, Run, Workload

Item = TypeVar("Item")
_POD_FIELDS = ("name", "namespace", "uid", "node", "workload", "cgroup", "addresses", "labels", "annotations", "containers")


class PodsFileError(ValueError):
    """A pods file that cannot be used; the text begins with where."""


@dataclass(frozen=True, slots=True)
class PodsFile:
    """What a pods file says. ``namespaces`` maps a namespace to its labels."""

    inventory: Inventory = field(default_factory=Inventory)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def parse_pods(document: object, node: str = "") -> PodsFile:
    """Check a parsed document; ``node`` is the node of pods that name none. Raises ``PodsFileError``."""
    top = _table(document, "the file", ("pods", "services", "namespaces"))
    pods = _list(top.get("pods"), "pods", lambda value, at: _pod(value, at, node))
    _refuse_twins(pods)
    services = {_address(key, "services"): _text(value, f"services.{key}") for key, value in _items(top.get("services"), "services")}
    namespaces = {name: _labels(labels, f"namespaces.{name}") for name, labels in _items(top.get("namespaces"), "namespaces")}
    return PodsFile(Inventory(pods, services), namespaces)


def _pod(value: object, at: str, node: str) -> Pod:
    table = _table(value, at, _POD_FIELDS)
    name, namespace = _required(table, "name", at), _required(table, "namespace", at)
    containers = _list(table.get("containers"), f"{at}.containers", _container)
    return Pod(
        name=name,
        namespace=namespace,
        uid=_optional(table, "uid", at),
        node=_optional(table, "node", at) or node,
        cgroup=_cgroup(_optional(table, "cgroup", at), f"{at}.cgroup"),
        addresses=_list(table.get("addresses"), f"{at}.addresses", _address),
        workload=_workload(table.get("workload"), f"{at}.workload"),
        containers=tuple(container for container, _ in containers),
        runs={found: Run(container) for container, found in containers if found},
        labels=_labels(table.get("labels"), f"{at}.labels"),
        annotations=_labels(table.get("annotations"), f"{at}.annotations"),
    )


def _cgroup(path: str, at: str) -> str:
    if path and (not path.startswith("/") or path.strip("/") == "" or ".." in path.split("/")):
        raise PodsFileError(f"{at}: {path!r} is no path below the cgroup v2 mount; it begins with a slash, as in /kubepods/pod1")
    return path.rstrip("/")


def _container(value: object, at: str) -> tuple[str, str]:
    """A container's name, and the ID by which its cgroup goes (empty: not told)."""
    if isinstance(value, str):
        return _text(value, at), ""
    table = _table(value, at, ("name", "id"))
    found = _optional(table, "id", at)
    if found and container_id(found) != found:
        raise PodsFileError(f"{at}.id: {found!r} is no container's ID, which is made of the digits 0-9 and a-f")
    return _required(table, "name", at), found


def _workload(value: object, at: str) -> Workload | None:
    if value is None:
        return None
    table = _table(value, at, ("kind", "name"))
    return Workload(_required(table, "kind", at), _required(table, "name", at))


def _refuse_twins(pods: tuple[Pod, ...]) -> None:
    names: dict[tuple[str, str], int] = {}
    cgroups: dict[str, int] = {}
    for index, pod in enumerate(pods):
        first = names.setdefault((pod.namespace, pod.name), index)
        if first != index:
            raise PodsFileError(f"pods[{index}].name: {pod.namespace}/{pod.name} is pods[{first}] already")
        if pod.cgroup and (other := cgroups.setdefault(pod.cgroup, index)) != index:
            raise PodsFileError(f"pods[{index}].cgroup: {pod.cgroup} is that of pods[{other}] already")


def _table(value: object, at: str, fields: tuple[str, ...]) -> Mapping[str, object]:
    table = dict(_items(value, at))
    for key in table:
        if key not in fields:
            raise PodsFileError(f"{at}: unknown field {key!r}; allowed are {', '.join(fields)}")
    return table


def _items(value: object, at: str) -> list[tuple[str, object]]:
    if value is None:
        return []
    if not isinstance(value, dict):
        raise PodsFileError(f"{at}: must be a mapping, not {_kind(value)}")
    for key in value:
        if not isinstance(key, str):
            raise PodsFileError(f"{at}: the key {key!r} must be text: put it into quotes")
    return list(value.items())


def _list(value: object, at: str, item: Callable[[object, str], Item]) -> tuple[Item, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise PodsFileError(f"{at}: must be a list, not {_kind(value)}")
    return tuple(item(entry, f"{at}[{index}]") for index, entry in enumerate(value))


def _labels(value: object, at: str) -> Mapping[str, str]:
    return {key: _text(text, f"{at}.{key}", empty=True) for key, text in _items(value, at)}


def _required(table: Mapping[str, object], name: str, at: str) -> str:
    if name not in table:
        raise PodsFileError(f"{at}.{name}: is required")
    return _text(table[name], f"{at}.{name}")


def _optional(table: Mapping[str, object], name: str, at: str) -> str:
    return _text(table[name], f"{at}.{name}") if table.get(name) is not None else ""


def _text(value: object, at: str, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise PodsFileError(f"{at}: must be text, not {_kind(value)}; put it into quotes")
    if not value and not empty:
        raise PodsFileError(f"{at}: must not be empty")
    return value


def _address(value: object, at: str) -> Address:
    text = _text(value, at)
    try:
        return ip_address(text)
    except ValueError:
        raise PodsFileError(f"{at}: {text!r} is no IP address") from None


def _kind(value: object) -> str:
    names = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
        type(None): "nothing",
    }
    return names.get(type(value), f"a {type(value).__name__}")
