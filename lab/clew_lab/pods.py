"""Pods without Kubernetes: network namespaces and cgroups inside one lab guest.

The agent tells pods apart by their cgroup and peers by their address. Both can be had with a kernel alone, so the kernel tests, the
demo and the benchmark need no kubelet: a "pod" here is a network namespace on the bridge ``clew0``, and a pod cgroup with one
container cgroup below it, laid out as kubelet and runc lay them out. :meth:`PodNetwork.write_inventory` writes the file that
``clew-agent run --pods`` reads.

Runs as root in a guest; on a developer's machine it would rewrite ``/etc/hosts``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

BRIDGE = "clew0"
NODE_ADDRESS = IPv4Address("10.244.1.1")
NODE_ADDRESS6 = IPv6Address("fd00:244:1::1")
CGROUP_ROOT = Path("/sys/fs/cgroup")
KUBEPODS = "/kubepods/besteffort"
"""Where the kubelet puts pods that ask for no resources (driver ``cgroupfs``)."""
HOSTS = Path("/etc/hosts")
LISTEN = "0A"
"""``TCP_LISTEN`` as ``/proc/net/tcp`` prints it (``get_tcp4_sock`` in the kernel)."""

_POLL_SECONDS = 0.02
# The shell enters the cgroup before nsenter enters the namespace; every step is an exec, so the process keeps the pid Popen knows.
_ENTER = 'echo $$ >"$1/cgroup.procs" && net="$2" && shift 2 && exec nsenter --net="$net" -- "$@"'


class PodError(RuntimeError):
    """A pod's process ended, or did not listen in time."""


class LabPod:
    """One pod: processes started by :meth:`popen` live in its container cgroup and its network namespace."""

    def __init__(
        self, index: int, name: str, namespace: str, workload: tuple[str, str] | None, labels: Mapping[str, str], listed: bool, uid: str
    ) -> None:
        """Choose the names and addresses of pod number ``index``; :meth:`PodNetwork.pod` makes them real."""
        self.name = name
        self.namespace = namespace
        self.workload = workload
        self.labels = dict(labels)
        self.listed = listed
        self.uid = uid or str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{namespace}.pods.clew.dev"))
        self.address = NODE_ADDRESS + index
        self.address6 = NODE_ADDRESS6 + index
        self.netns = f"{namespace}-{name}"
        self.veth = f"clewveth{index}"
        self.cgroup = f"{KUBEPODS}/pod{self.uid}"
        self.containers: list[dict[str, str]] = []
        """Name and ID of containers, where there are others than the unnamed one; who lists them makes their cgroups, below the pod's."""
        self._processes: list[subprocess.Popen[Any]] = []

    @property
    def cgroup_path(self) -> Path:
        """The pod's cgroup as a directory; policies select by this one."""
        return CGROUP_ROOT / self.cgroup.lstrip("/")

    @property
    def container_path(self) -> Path:
        """The cgroup where the pod's processes live that are started from here: that of its only container, which has no name."""
        return self.cgroup_path / "main"

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start ``argv`` inside the pod. Options are those of :class:`subprocess.Popen`; ``pid`` is the program's own."""
        wrapper = ["/bin/sh", "-c", _ENTER, "pod", str(self.container_path), f"/run/netns/{self.netns}"]
        process = subprocess.Popen([*wrapper, *argv], **options)
        process.args = list(argv)
        self._processes.append(process)
        return process

    def run(self, argv: Sequence[str], *, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``argv`` inside the pod to its end and return its text output. Raises ``CalledProcessError`` and ``TimeoutExpired``."""
        process = self.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, list(argv), out, err)
        return subprocess.CompletedProcess(list(argv), 0, out, err)

    def listening_ports(self) -> set[int]:
        """The TCP ports somebody in the pod listens on, both families; empty while no process is in it."""
        pids = (self.container_path / "cgroup.procs").read_text().split()
        ports: set[int] = set()
        for pid in pids[:1]:
            for table in ("tcp", "tcp6"):
                with contextlib.suppress(OSError):
                    ports |= parse_listening(Path(f"/proc/{pid}/net/{table}").read_text())
        return ports

    def wait_listening(self, port: int, *, timeout: float = 120) -> float:
        """Wait until ``port`` is listened on; returns the seconds it took.

        Raises :class:`PodError` at once when the process started last ends first, and after ``timeout`` seconds.
        """
        if not self._processes:
            raise PodError(f"nothing was started in pod {self.name}")
        begun = time.monotonic()
        process = self._processes[-1]
        death = select.poll()
        pidfd = os.pidfd_open(process.pid)
        try:
            death.register(pidfd, select.POLLIN)
            while port not in self.listening_ports():
                if death.poll(_POLL_SECONDS * 1000):
                    raise PodError(f"pod {self.name}: {process.args!r} ended with status {process.wait()} before it listened on {port}")
                if time.monotonic() - begun > timeout:
                    raise PodError(f"pod {self.name}: nothing listens on {port} after {timeout:g} s")
        finally:
            os.close(pidfd)
        return time.monotonic() - begun

    def kill(self) -> None:
        """End every process of the pod (``cgroup.kill``, Linux 5.14) and reap those started from here."""
        (self.cgroup_path / "cgroup.kill").write_text("1")
        for process in self._processes:
            process.wait()
        self._processes.clear()
        _wait_unpopulated(self.cgroup_path)

    def document(self) -> dict[str, Any]:
        """This pod's entry of the inventory file."""
        entry: dict[str, Any] = {
            "name": self.name,
            "namespace": self.namespace,
            "uid": self.uid,
            "cgroup": self.cgroup,
            "addresses": [str(self.address), str(self.address6)],
            "labels": self.labels,
        }
        if self.containers:
            entry["containers"] = self.containers
        if self.workload is not None:
            entry["workload"] = {"kind": self.workload[0], "name": self.workload[1]}
        return entry


class PodNetwork:
    """The bridge, the pods on it, and the hosts file by which they find one another. A context manager; leaving it ends all pods."""

    def __init__(self, hosts: Path = HOSTS) -> None:
        """Names of pods go into ``hosts`` while the network is there."""
        self._hosts = hosts
        self._hosts_before = ""
        self.pods: list[LabPod] = []

    def __enter__(self) -> PodNetwork:
        """Make the bridge."""
        self._hosts_before = self._hosts.read_text() if self._hosts.exists() else ""
        _ip(
            [
                "link set lo up",
                f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                f"addr add {NODE_ADDRESS}/24 dev {BRIDGE}",
                f"addr add {NODE_ADDRESS6}/64 dev {BRIDGE} nodad",
                f"link set {BRIDGE} up",
            ]
        )
        (CGROUP_ROOT / KUBEPODS.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """End every pod's processes and take everything away again."""
        for pod in self.pods:
            self._remove(pod)
        self.pods.clear()
        _ip([f"link del {BRIDGE}"])
        kubepods = CGROUP_ROOT / KUBEPODS.lstrip("/")
        with contextlib.suppress(OSError):
            kubepods.rmdir()
            kubepods.parent.rmdir()
        self._hosts.write_text(self._hosts_before)

    def pod(
        self,
        name: str,
        namespace: str = "default",
        workload: tuple[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        listed: bool = True,
        uid: str = "",
    ) -> LabPod:
        """Make a pod with its own address, owned by Deployment ``name`` unless ``workload`` says else.

        ``listed=False`` keeps it out of the inventory: a process on the network of which the agent knows nothing. ``uid`` is that of
        an API server's object where there is one.
        """
        pod = LabPod(len(self.pods) + 1, name, namespace, workload or ("Deployment", name), labels or {}, listed, uid)
        pod.container_path.mkdir(parents=True)
        self.pods.append(pod)
        _ip(
            [
                f"netns add {pod.netns}",
                f"link add {pod.veth} type veth peer name eth0 netns {pod.netns}",
                f"link set {pod.veth} master {BRIDGE} up",
            ]
        )
        _ip(
            [
                "link set lo up",
                f"addr add {pod.address}/24 dev eth0",
                f"addr add {pod.address6}/64 dev eth0 nodad",
                "link set eth0 up",
                f"route add default via {NODE_ADDRESS}",
            ],
            netns=pod.netns,
        )
        self._hosts.write_text(self._hosts_before + hosts_lines(self.pods))
        return pod

    def inventory_document(self) -> dict[str, Any]:
        """The inventory of this network, in the form of ``clew-agent run --pods FILE``."""
        listed = [pod for pod in self.pods if pod.listed]
        services = {str(address): pod.name for pod in listed for address in (pod.address, pod.address6)}
        return {"pods": [pod.document() for pod in listed], "services": services}

    def write_inventory(self, path: Path) -> Path:
        """Write :meth:`inventory_document` to ``path`` as JSON, at once as a whole, and return the path."""
        draft = path.with_name(path.name + ".new")
        draft.write_text(json.dumps(self.inventory_document(), indent=2) + "\n")
        draft.replace(path)
        return path

    def _remove(self, pod: LabPod) -> None:
        pod.kill()
        for folder, _, _ in os.walk(pod.cgroup_path, topdown=False):
            os.rmdir(folder)
        _ip([f"link del {pod.veth}", f"netns del {pod.netns}"])


def hosts_lines(pods: Sequence[LabPod]) -> str:
    """Lines of a hosts file that name each pod as cluster DNS would name its service (IPv4, as a single-stack service has)."""
    return "".join(f"{pod.address}\t{pod.name} {pod.name}.{pod.namespace} {pod.name}.{pod.namespace}.svc.cluster.local\n" for pod in pods)


def parse_listening(table: str) -> set[int]:
    """The local ports in state LISTEN of a ``/proc/net/tcp`` or ``tcp6`` text."""
    rows = (line.split() for line in table.splitlines()[1:])
    return {int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == LISTEN}


def _ip(commands: Sequence[str], netns: str | None = None) -> None:
    """Run iproute2 commands as one batch. Raises ``CalledProcessError`` with what ``ip`` said."""
    prefix = ["ip", "-n", netns] if netns else ["ip"]
    done = subprocess.run([*prefix, "-batch", "-"], input="\n".join(commands) + "\n", text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, [*prefix, *commands], done.stdout, done.stderr)


def _wait_unpopulated(cgroup: Path) -> None:
    """Wait until no process is left below ``cgroup``; the kernel notifies pollers of ``cgroup.events`` (cgroup-v2, "events")."""
    with (cgroup / "cgroup.events").open() as events:
        changed = select.poll()
        changed.register(events, select.POLLPRI)
        while "populated 1" in events.read():
            changed.poll(1000)
            events.seek(0)
