"""Adds real nodes to a running cluster: guests are booted as its processes, so that they end with it, in whatever way it ends."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from clew_lab import image as images
from clew_lab import store
from clew_lab.cluster.components import KUBE_PROXY, Files, kubeconfig
from clew_lab.cluster.control_plane import Cluster, ClusterError
from clew_lab.config import SHARE_MOUNT
from clew_lab.guest import HOST_ADDRESS, LEAN, GuestOptions, start_script, virtme_argv
from clew_lab.nodes.addons import cluster_dns
from clew_lab.nodes.disk import DISK, DISKS
from clew_lab.nodes.files import files
from clew_lab.nodes.machine import LabNode, nodes_below, qemu_options
from clew_lab.nodes.places import MOST_NODES, Place

__all__ = ["MEMORY", "boot_line", "cpus_for", "network_lines", "prepare", "start_nodes"]

MEMORY = "2G"
"""What a node has, unless more is asked for."""

# The kubelet looks through the folders of all its pods again and again, once for each controller.
_PARAMETERS = (*LEAN, "cgroup_disable=io,hugetlb,rdma,misc")
_BOOT_SECONDS = 900.0
_LOOK_SECONDS = 10


def start_nodes(cluster: Cluster, kernels: Sequence[str], memory: str = MEMORY) -> list[LabNode]:
    """Boot a node for each kernel (a series, such as 6.12), and wait until all are Ready and the cluster's DNS answers.

    Raises :class:`clew_lab.store.NotBuilt`, and :class:`ClusterError` with what the guest said when one does not become Ready.
    """
    first = len(nodes_below(cluster.folder)) + 1
    if first + len(kernels) - 1 > MOST_NODES:
        raise ClusterError(f"a cluster has at most {MOST_NODES} real nodes")
    image, disk = images.find_image(), DISKS.find()
    cluster.held.enter_context(images.in_use(image))
    cluster.held.enter_context(store.in_use(disk))
    if first == 1:
        _lay_network(cluster)
    started = []
    for number, kernel in enumerate(kernels, first):
        node = LabNode(number, kernel, cluster.folder / Place(number).name, cluster.ports.nodes[number - 1])
        prepare(node, cluster.files, cluster.ports.apiserver, cluster.tokens)
        options = GuestOptions(kernel, memory=memory, cpus=cpus_for(len(kernels)), parameters=_PARAMETERS)
        cluster.run_beside(node.name, boot_line(node, options, image, disk / DISK, cluster.files.lan_socket))
        started.append(node)
    for node in started:
        _await_node(cluster, node)
    _await(cluster, "the DNS", lambda: _holds(cluster, "rollout", "status", "daemonset/coredns", "--namespace=kube-system"))
    return started


def network_lines(of: Files, ports: Sequence[int]) -> dict[str, Sequence[str]]:
    """Return the command lines of what nodes have in common: their LAN, the way from the host to them, the host's time."""
    python = ["env", f"PYTHONPATH={Path(__file__).parents[2]}", sys.executable, "-m"]
    return {
        "lan": [*python, "clew_lab.nodes.lan", str(of.lan_socket)],
        "egress": [*python, "clew_lab.nodes.egress", str(of.egress_socket), *map(str, ports)],
        "clocks": [*python, "clew_lab.nodes.clocks", *map(str, ports)],
    }


def prepare(node: LabNode, of: Files, port: int, tokens: Mapping[str, str]) -> None:
    """Fill the folder of a node with all that it is given: its record, its start script, its files.

    `port` is the API server's on the host.
    """
    given = node.folder / "share/files"
    given.mkdir(parents=True)
    url, ca = f"https://{HOST_ADDRESS}:{port}", Path(SHARE_MOUNT, "files/ca.crt")
    kubeconfigs = {"kubelet": kubeconfig(url, ca, tokens[node.name]), KUBE_PROXY: kubeconfig(url, ca, tokens[KUBE_PROXY])}
    for name, text in files(node.place, kubeconfigs, of.ca.read_text(), of.kubelet_client.read_text()).items():
        (given / name).write_text(text)
    command = ["sh", "-c", f"exec python -m clew_lab.nodes.inside {node.number} >> {SHARE_MOUNT}/node.log 2>&1"]
    (node.folder / "share/start").write_text(start_script(GuestOptions(node.kernel), command))
    node.record()


def boot_line(node: LabNode, options: GuestOptions, image: images.Image, disk: Path, lan: Path) -> list[str]:
    """Return the command line that boots a node that has been prepared."""
    # QEMU keeps what is written to the disk in TMPDIR.
    return ["env", f"TMPDIR={node.folder}", *virtme_argv(image, options, node.folder), *qemu_options(node, disk, lan)]


def cpus_for(nodes: int) -> int:
    """Return how many processors each of so many nodes gets: an emulated one without a real one to itself holds up its guest."""
    return max(1, min(2, (os.cpu_count() or 1) // nodes))


def _await(cluster: Cluster, what: str, ready: Callable[[], bool]) -> None:
    """Wait until something is ready. Raises :class:`ClusterError` when it takes too long, or a process ends."""
    deadline = time.monotonic() + _BOOT_SECONDS
    while time.monotonic() < deadline:
        if ready():
            return
        cluster.complain_of_the_dead()
    raise ClusterError(f"{what} is not ready after {_BOOT_SECONDS:g} s")


def _holds(cluster: Cluster, *question: str) -> bool:
    """Whether what kubectl waits for has come to hold in a while."""
    return cluster.kubectl(*question, f"--timeout={_LOOK_SECONDS}s", check=False).returncode == 0


def _lay_network(cluster: Cluster) -> None:
    """Start what nodes have in common, and say what shall run on them."""
    for name, argv in network_lines(cluster.files, cluster.ports.nodes).items():
        cluster.run_beside(name, argv)
    cluster.await_ready("lan", cluster.files.lan_socket.exists)
    cluster.await_ready("egress", cluster.files.egress_socket.exists)
    cluster.kubectl("apply", "--server-side", "--filename=-", input=cluster_dns())


def _await_node(cluster: Cluster, node: LabNode) -> None:
    try:
        thing = f"node/{node.name}"
        _await(
            cluster,
            thing,
            lambda: _holds(cluster, "wait", thing, "--for=create") and _holds(cluster, "wait", thing, "--for=condition=Ready"),
        )
    except ClusterError as problem:
        raise ClusterError(f"{problem}\n{node.log('node')}\n--- its kernel's last messages\n{node.console()[-4000:]}") from None
