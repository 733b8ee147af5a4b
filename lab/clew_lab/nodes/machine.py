"""The machine of a node: what QEMU is started with, and what may be done to it while it runs.

Everything that is done goes through two doors: QEMU's control socket in the node's folder, and the port by which the guest serves the
host. So whoever knows a cluster's folder can do it, the process that keeps the cluster or another one.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from clew_lab.nodes import qmp, tunnel
from clew_lab.nodes.inside import COMMANDS
from clew_lab.nodes.places import TUNNEL_PORT, USER_ADDRESS, Place

__all__ = ["LabNode", "nodes_below", "qemu_options"]

_CONTROL = "qmp.sock"
_RECORD = "node.json"
_LINKS = ("eth0", "eth1")
_RUN_SECONDS = 600.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class LabNode:
    """A node of a running cluster: its number, the series of its kernel, its folder, and the host's port that leads into it."""

    number: int
    kernel: str
    folder: Path
    port: int

    @property
    def place(self) -> Place:
        """Its addresses."""
        return Place(self.number)

    @property
    def name(self) -> str:
        """The name by which the cluster knows it."""
        return self.place.name

    def power_off(self) -> None:
        """Take its power away: from one instruction to the next it is gone, with all that was in its memory."""
        qmp.execute(self.folder / _CONTROL, ("stop", {}))

    def power_on(self) -> None:
        """Boot it anew; what had reached its disk is still there. Done while it runs, it is a reset."""
        control = self.folder / _CONTROL
        qmp.execute(control, ("stop", {}), ("system_reset", {}))
        while qmp.execute(control, ("query-status", {}))[0]["status"] != "prelaunch":  # the reset is yet to come
            time.sleep(_LOOK_SECONDS)
        qmp.execute(control, ("cont", {}))

    def cut_off(self) -> None:
        """Pull both its cables: to the host, and so to the API server, and to the other nodes."""
        self._set_links(up=False)

    def rejoin(self) -> None:
        """Put its cables back."""
        self._set_links(up=True)

    def run(self, *argv: str, check: bool = True, timeout: float = _RUN_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a command on the node as root, outside of every pod.

        Raises ``subprocess.CalledProcessError`` on failure unless `check` is false, and ``OSError`` when the node does not answer.
        """
        said = json.loads(asyncio.run(_command(self.port, argv, timeout)))
        if check and said["status"] != 0:
            problem = subprocess.CalledProcessError(said["status"], argv, said["stdout"], said["stderr"])
            problem.add_note(said["stderr"])
            raise problem
        return subprocess.CompletedProcess(argv, said["status"], said["stdout"], said["stderr"])

    def log(self, name: str) -> str:
        """Return what a program of the node has said ("kubelet", "containerd", "kube-proxy"), or the node itself ("node")."""
        path = self.folder / "share" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def console(self) -> str:
        """Return what its kernel has said: warnings and worse."""
        path = self.folder / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def record(self) -> None:
        """Write down what it is, for `nodes_below`."""
        (self.folder / _RECORD).write_text(json.dumps(asdict(self) | {"folder": str(self.folder)}))

    def _set_links(self, *, up: bool) -> None:
        qmp.execute(self.folder / _CONTROL, *(("set_link", {"name": link, "up": up}) for link in _LINKS))


def nodes_below(folder: Path) -> dict[str, LabNode]:
    """Return the nodes of the cluster in that folder, by name."""
    records = [json.loads(path.read_text()) for path in sorted(folder.glob(f"*/{_RECORD}"))]
    nodes = [LabNode(record["number"], record["kernel"], Path(record["folder"]), record["port"]) for record in records]
    return {node.name: node for node in nodes}


def qemu_options(node: LabNode, disk: Path, lan: Path) -> list[str]:
    """Return what QEMU is told beyond what every guest needs: the disk, two links, the control socket.

    Nothing that is written to the disk reaches the file: it lies in one without a name, for as long as QEMU runs.
    """
    forward = f"hostfwd=tcp:127.0.0.1:{node.port}-{USER_ADDRESS}:{TUNNEL_PORT}"
    return [
        *("-drive", f"file={disk},format=raw,if=none,id=disk,snapshot=on,cache=unsafe,aio=threads"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-netdev", f"user,id=user,{forward}"),
        *("-device", f"virtio-net-pci,netdev=user,id={_LINKS[0]},mac={node.place.user_mac}"),
        *("-netdev", f"stream,id=lan,server=off,addr.type=unix,addr.path={lan}"),
        *("-device", f"virtio-net-pci,netdev=lan,id={_LINKS[1]},mac={node.place.lan_mac}"),
        *("-qmp", f"unix:{node.folder / _CONTROL},server=on,wait=off"),
        *("-action", "reboot=reset"),
    ]


async def _command(port: int, argv: Sequence[str], timeout: float) -> bytes:
    async with asyncio.timeout(timeout):
        reader, writer = await tunnel.connect_through(await asyncio.open_connection("127.0.0.1", port), *COMMANDS)
        writer.write(json.dumps(argv).encode() + b"\n")
        said = await reader.read()
        writer.close()
    if not said:
        raise OSError("the node ended while it ran a command")
    return said
