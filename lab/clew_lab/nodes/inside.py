"""What a guest does to be a node: `python -m clew_lab.nodes.inside NUMBER`, its init's one command.

It sets up links, mounts and files, starts the node's programs, and starts each again when it ends, as systemd would. Then it serves
the host: connections to what the guest can reach, and commands (:mod:`clew_lab.nodes.tunnel`, `run` of a `LabNode`).
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from pathlib import Path

from clew_lab.config import SHARE_MOUNT
from clew_lab.guest import HOST_ADDRESS
from clew_lab.nodes import tunnel
from clew_lab.nodes.files import CONTAINERD_SOCKET, DISK_MOUNT, PERSISTENT, command_lines
from clew_lab.nodes.places import MOST_NODES, TUNNEL_PORT, USER_ADDRESS, Place

__all__ = ["CLOCK", "COMMANDS", "main"]

COMMANDS = ("node.clew.dev", 1)
"""The host and port, known to no network, at which a guest takes a command: one line of JSON, answered by another."""

CLOCK = ("clock.clew.dev", 1)
"""Where it is asked for its time, in nanoseconds since 1970, by lines with how many it is to be moved by first."""

_SHARE = Path(SHARE_MOUNT)
_MODULES = ("virtio_blk", "virtio_net", "ext4", "overlay", "bridge", "br_netfilter", "veth", "nf_conntrack", "nft_ct", "nft_chain_nat")
_SETTINGS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/bridge/bridge-nf-call-iptables": "1",
    "fs/inotify/max_user_instances": "8192",
}
# Nothing of the guest's own: XDG_RUNTIME_DIR, say, leads runc to a folder that is not there. Go's programs may let more garbage lie
# than they do by default: a node has memory to spare, and half of its one emulated processor goes to kubelet and containerd. Nor are
# they interrupted after ten milliseconds of work, which on that processor is about everything.
_GO = {"GOGC": "400", "GODEBUG": "asyncpreemptoff=1"}
_ENVIRONMENT = {"HOME": "/root", "LANG": "C.UTF-8", "PATH": f"{DISK_MOUNT}/bin:/usr/sbin:/usr/bin:/sbin:/bin", **_GO}
_OWN = {COMMANDS: "/run/clew/commands", CLOCK: "/run/clew/clock"}
_AGAIN_SECONDS = 1
_LOOK_SECONDS = 0.2


def prepare(place: Place) -> None:
    """Make the guest a machine that a kubelet can run on. Raises ``subprocess.CalledProcessError`` with the command that failed."""
    for module in _MODULES:
        _run("modprobe", module)
    _run("hostname", place.name)
    _join_networks(place)
    for name, value in _SETTINGS.items():
        Path("/proc/sys", name).write_text(value)
    _mount_disk()
    _divide_cgroups()
    for name, target in (("hosts", "/etc/hosts"), ("cni.conflist", "/etc/cni/net.d/10-lab.conflist")):
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_SHARE / "files" / name, target)
    _run("nft", "--file", str(_SHARE / "files/link.nft"))


def _join_networks(place: Place) -> None:
    _run("ip", "link", "set", "eth0", "up")
    _run("ip", "address", "add", f"{USER_ADDRESS}/24", "dev", "eth0")
    _run("ip", "route", "add", "default", "via", HOST_ADDRESS)
    _run("ip", "link", "set", "eth1", "up")
    _run("ip", "address", "add", f"{place.address}/24", "dev", "eth1")
    for other in (Place(number) for number in range(1, MOST_NODES + 1) if number != place.number):
        _run("ip", "route", "add", other.pods, "via", other.address, "dev", "eth1")


def _mount_disk() -> None:
    Path(DISK_MOUNT).mkdir()
    _run("mount", "/dev/vda", DISK_MOUNT)
    for name in PERSISTENT:
        kept, seen = Path(DISK_MOUNT, "var", name), Path("/var", name)
        kept.mkdir(parents=True, exist_ok=True)
        seen.mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", str(kept), str(seen))
    _run("mount", "--make-rshared", "/")


def _divide_cgroups() -> None:
    """Give the node's programs a slice beside that of the pods, and each of both what controllers there are."""
    root = Path("/sys/fs/cgroup")
    for controller in (root / "cgroup.controllers").read_text().split():
        (root / "cgroup.subtree_control").write_text(f"+{controller}")
    own = root / "system.slice"
    own.mkdir()
    (own / "cgroup.procs").write_text(str(os.getpid()))


async def keep(name: str, argv: Sequence[str]) -> None:
    """Run a program for ever, its output in the shared folder."""
    while name == "kubelet" and not Path(CONTAINERD_SOCKET).exists():  # it would end, and begin anew
        await asyncio.sleep(_LOOK_SECONDS)
    with (_SHARE / f"{name}.log").open("ab") as log:
        while True:
            process = await asyncio.create_subprocess_exec(*argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_ENVIRONMENT)
            print(f"{name} has ended with status {await process.wait()}; it is started again", flush=True)
            await asyncio.sleep(_AGAIN_SECONDS)


async def _dial(host: str, port: int) -> tunnel.Connection:
    if (own := _OWN.get((host, port))) is None:
        return await asyncio.open_connection(host, port)
    async with asyncio.timeout(_AGAIN_SECONDS):
        return await asyncio.open_unix_connection(own)


async def _tell_time(reader: StreamReader, writer: StreamWriter) -> None:
    while line := await reader.readline():
        now = time.time_ns()
        if shift := int(line):
            now += shift
            time.clock_settime_ns(time.CLOCK_REALTIME, now)
        writer.write(f"{now}\n".encode())
        await writer.drain()
    writer.close()


async def _obey(reader: StreamReader, writer: StreamWriter) -> None:
    argv = json.loads(await reader.readline())
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env=_ENVIRONMENT
    )
    output, errors = await process.communicate()
    said = {"status": process.returncode, "stdout": output.decode(errors="replace"), "stderr": errors.decode(errors="replace")}
    writer.write(json.dumps(said).encode() + b"\n")
    await writer.drain()
    writer.close()


async def _serve(place: Place) -> None:
    async def accept(reader: StreamReader, writer: StreamWriter) -> None:
        if writer.get_extra_info("peername")[0] == HOST_ADDRESS:
            await tunnel.serve((reader, writer), _dial)
        else:  # a pod: what is served here is the host's alone
            writer.close()

    await asyncio.start_unix_server(_obey, _OWN[COMMANDS])
    await asyncio.start_unix_server(_tell_time, _OWN[CLOCK])
    await asyncio.start_server(accept, USER_ADDRESS, TUNNEL_PORT)
    await asyncio.gather(*(keep(name, argv) for name, argv in command_lines(place).items()))


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def main() -> None:
    """Be the node until the guest ends."""
    os.environ |= _ENVIRONMENT  # by whose PATH programs are found
    place = Place(int(sys.argv[1]))
    prepare(place)
    asyncio.run(_serve(place))


if __name__ == "__main__":
    main()
