"""Connections that are older than the agent.

The programs see connections begin; those that were there before are found in the pods' processes, fetched by ``pidfd_getfd`` and put
into the maps from here. An ``iter/tcp`` program could do it too, but updating a sockhash from one can panic kernels before 6.4.
What was under way on such a connection is not known: the programs wait for a message that certainly begins (``take_up`` in
``bpf/stream.h``).
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from clew_agent.kernel_settings import pack
from clew_agent.loader.syscalls import map_info, update
from clew_agent.system_call import system_call

_LOG = logging.getLogger("clew.sockets")
_SO_PROTOCOL, _SO_COOKIE = 38, 57
_TCP_ESTABLISHED = 1
_FIRST_ID = 1 << 47  # the programs number theirs from 1
_SERVER, _CLIENT = 1, 2


@dataclass(slots=True)
class Adopter:
    """Puts connections into the programs' maps."""

    connections: int
    sockets: int
    inject: bool
    """Clients' sockets go into the sockhash; otherwise they are only observed."""
    taken: int = 0

    def adopt(self, cgroup: Path, pod: int) -> int:
        """Take up the TCP connections of a cgroup's processes. Returns how many; processes that end meanwhile are left out."""
        seen: set[int] = set()
        before = self.taken
        for pid in processes(cgroup):
            try:
                self._adopt_process(pid, pod, seen)
            except (FileNotFoundError, ProcessLookupError):
                continue
            except PermissionError as error:
                _LOG.warning("connections of process %d that are older than the agent are not followed: %s", pid, error)
        return self.taken - before

    def _adopt_process(self, pid: int, pod: int, seen: set[int]) -> None:
        listening = listening_ports(Path(f"/proc/{pid}/net/tcp").read_text()) | listening_ports(Path(f"/proc/{pid}/net/tcp6").read_text())
        pidfd = os.pidfd_open(pid)
        try:
            for number, inode in socket_descriptors(pid):
                if inode in seen:
                    continue
                seen.add(inode)
                try:
                    copy = system_call("pidfd_getfd", pidfd, number, 0)
                except OSError as error:
                    if error.errno == errno.EBADF:  # it has been closed since
                        continue
                    raise
                with closing(socket.socket(fileno=copy)) as found:
                    self._adopt_socket(found, listening, pod)
        finally:
            os.close(pidfd)

    def _adopt_socket(self, found: socket.socket, listening: frozenset[int], pod: int) -> None:
        if found.family not in (socket.AF_INET, socket.AF_INET6) or found.type != socket.SOCK_STREAM:
            return
        if found.getsockopt(socket.SOL_SOCKET, _SO_PROTOCOL) != socket.IPPROTO_TCP:
            return
        if found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _TCP_ESTABLISHED:
            return
        local, remote = found.getsockname(), found.getpeername()
        facts: dict[str, int | bytes] = {
            "id": _FIRST_ID | self.taken,
            "pod": pod,
            "local_address": mapped(local[0]),
            "remote_address": mapped(remote[0]),
            "local_port": local[1],
            "remote_port": remote[1],
            "role": _SERVER if local[1] in listening else _CLIENT,
            "unsynced": 1,
        }
        joins = facts["role"] == _CLIENT and self.inject
        facts["observed"] = int(facts["role"] == _CLIENT and not joins)
        if seed(self.connections, found.fileno(), facts):
            self.taken += 1
            if joins:
                join(self.sockets, found)


def seed(connections: int, descriptor: int, facts: dict[str, int | bytes]) -> bool:
    """Give a socket its element in ``connections``; False where the programs have made one. Raises ``OSError``."""
    known = pack("connection_facts", facts)
    value = known + bytes(map_info(connections)["value_size"] - len(known))
    try:
        update(connections, struct.pack("=I", descriptor), value, only_new=True)
    except FileExistsError:
        return False
    return True


def join(sockets: int, member: socket.socket) -> None:
    """Put a socket into the sockhash, under its cookie. Raises ``OSError``."""
    cookie = member.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8)
    update(sockets, cookie, struct.pack("=I", member.fileno()))


def processes(cgroup: Path) -> list[int]:
    """The processes of a cgroup and of all below it; none where it has gone."""
    found: list[int] = []
    for folder, _, _ in os.walk(cgroup):
        try:
            found += [int(line) for line in (Path(folder) / "cgroup.procs").read_text().split()]
        except OSError:
            continue
    return found


def listening_ports(table: str) -> frozenset[int]:
    """The local ports in state LISTEN of a ``/proc/net/tcp`` or ``tcp6`` text."""
    rows = (line.split() for line in table.splitlines()[1:])
    return frozenset(int(row[1].rsplit(":", 1)[1], 16) for row in rows if len(row) > 3 and row[3] == "0A")


def mapped(address: str) -> bytes:
    """An address as 16 bytes, IPv4 mapped into IPv6; a scope (``%eth0``) is left out."""
    bare = address.split("%", 1)[0]
    if ":" in bare:
        return socket.inet_pton(socket.AF_INET6, bare)
    return bytes(10) + b"\xff\xff" + socket.inet_pton(socket.AF_INET, bare)


def socket_descriptors(pid: int) -> Iterator[tuple[int, int]]:
    """A process's descriptors of sockets, each with the socket's inode. Raises ``OSError``.

    By ``fdinfo``, for which CAP_SYS_PTRACE is enough since Linux 5.14; the links in ``fd`` are for a process's own user, or
    CAP_DAC_READ_SEARCH. All sockets are on the one mount of sockfs.
    """
    sockets = _sockfs()
    for entry in os.scandir(f"/proc/{pid}/fdinfo"):
        try:
            mount, inode = _mount_and_inode(entry.path)
        except FileNotFoundError:
            continue
        if mount == sockets:
            yield int(entry.name), inode


@cache
def _sockfs() -> int:
    with socket.socket(socket.AF_UNIX) as own:
        return _mount_and_inode(f"/proc/self/fdinfo/{own.fileno()}")[0]


def _mount_and_inode(path: str) -> tuple[int, int]:
    fields = dict(line.split(":", 1) for line in Path(path).read_text().splitlines() if ":" in line)
    return int(fields["mnt_id"]), int(fields["ino"])
