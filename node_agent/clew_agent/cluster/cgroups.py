"""Where the kubelet puts a pod's cgroup, below the cgroup v2 mount (kubelet, pkg/kubelet/cm), and what runtimes call those of its
containers, below the pod's. Pure, but for the question what is there."""

from __future__ import annotations

import re
from collections.abc import Callable

# The kubelet's own --cgroup-root, as installers set it: none, or /kubelet (kind, minikube).
_ROOTS = ("", "kubelet")
# With the cgroupfs driver the ID alone (containerd, cri-dockerd) or behind "crio-"; with systemd's a scope. CRI-O's monitor of a
# container, in a scope "crio-conmon-…", is no part of it.
_CONTAINER = re.compile(r"(?:(?:cri-containerd|crio|docker)-)?([0-9a-f]+)(?:\.scope)?")


def candidates(uid: str, qos: str) -> tuple[str, ...]:
    """The paths that a pod's cgroup may have, for either cgroup driver. ``qos`` is ``status.qosClass``: Guaranteed pods have no folder
    of their class."""
    folder = {"Burstable": "burstable", "BestEffort": "besteffort"}.get(qos, "")
    return tuple(path for root in _ROOTS for path in (_cgroupfs(root, folder, uid), _systemd(root, folder, uid)))


def find(uid: str, qos: str, exists: Callable[[str], bool]) -> str:
    """The first of these paths that ``exists``; empty while there is none."""
    return next((path for path in candidates(uid, qos) if exists(path)), "")


def container_id(folder: str) -> str:
    """The container whose cgroup's folder is called this; empty where it is no container's."""
    found = _CONTAINER.fullmatch(folder)
    return found[1] if found else ""


def _cgroupfs(root: str, folder: str, uid: str) -> str:
    return "/" + "/".join(part for part in (root, "kubepods", folder, f"pod{uid}") if part)


def _systemd(root: str, folder: str, uid: str) -> str:
    """A slice's name tells all slices above it, joined by dashes; dashes of the uid become underscores."""
    parts = [part for part in (root, "kubepods", folder, f"pod{uid.replace('-', '_')}") if part]
    return "".join(f"/{'-'.join(parts[: depth + 1])}.slice" for depth in range(len(parts)))
