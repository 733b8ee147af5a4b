"""What the command line does with nodes: building what they are made of, and giving them trouble."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from clew_lab.cluster.control_plane import ClusterError
from clew_lab.host import as_root, ensure_host_packages
from clew_lab.nodes.disk import DISKS
from clew_lab.nodes.machine import LabNode
from clew_lab.store import NotBuilt

__all__ = ["ACTIONS", "build", "carry_out"]

ACTIONS = {
    "power-off": "as if its power went away",
    "power-on": "boot it again, with its disk",
    "reboot": "reset it",
    "cut-off": "pull its network cables",
    "rejoin": "put them back",
    "run": "run a command on it as root",
    "log": "print what kubelet, containerd, kube-proxy or the node itself (node, console) has said",
}


def build() -> Path:
    """Return the folder of the nodes' disk, building it, as root, with all that it needs."""
    ensure_host_packages()
    try:
        return DISKS.find()
    except NotBuilt:
        pass
    if os.geteuid() == 0:
        return DISKS.find_or_build()
    subprocess.run(as_root([sys.executable, "-m", "clew_lab.main", "cluster", "build", "--nodes"]), check=True)
    return DISKS.find()


def carry_out(nodes: Mapping[str, LabNode], name: str, action: str, arguments: Sequence[str]) -> str:
    """Do it, and return what there is to print. Raises :class:`ClusterError` for a node that there is not."""
    if name not in nodes:
        raise ClusterError(f"no node {name} in this cluster; there are: {', '.join(nodes) or 'none'}")
    node = nodes[name]
    match action:
        case "power-off":
            node.power_off()
        case "power-on" | "reboot":
            node.power_on()
        case "cut-off":
            node.cut_off()
        case "rejoin":
            node.rejoin()
        case "run":
            command = arguments[1:] if arguments[:1] == ["--"] else arguments
            if not command:
                raise ClusterError(f"run needs a command: clew-lab cluster node {name} run -- uname -r")
            done = node.run(*command, check=False)
            print(done.stderr, end="", file=sys.stderr)
            return done.stdout.rstrip("\n")
        case _:
            (wanted,) = arguments or ["node"]
            return (node.console() if wanted == "console" else node.log(wanted)).rstrip("\n")
    return ""
