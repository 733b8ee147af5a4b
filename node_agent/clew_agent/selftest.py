"""The test that propagation must pass on this very kernel before it touches anybody's traffic.

A loopback connection of the agent's own goes through the real programs: the bytes that arrive must be the bytes that were sent plus
one traceparent, FIONREAD must tell what is waiting, and epoll must wake. What fails keeps propagation off on this node.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
from dataclasses import dataclass

from clew_agent.enforcement import SELF_TEST_SLOT
from clew_agent.fionread import await_readable, loopback_pair, readable_bytes
from clew_agent.kernel_settings import pack
from clew_agent.loader.syscalls import update
from clew_agent.sockets import join, mapped, seed

_HEAD = b"POST /self-test HTTP/1.1\r\nHost: clew\r\nContent-Length: 300000\r\n"
_BODY = bytes(range(256)) * 1171 + bytes(range(224))
_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_FIELD = re.compile(rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00\r\n")
_POD = 0  # the agent's pods are numbered from 1
_IDENTITY = (1 << 48) - 1


class SelfTestError(RuntimeError):
    """What was wrong, in a sentence for the node's status."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The programs' maps that the test needs."""

    policies: int
    pod_policies: int
    connections: int
    sockets: int

    def run(self) -> None:
        """Raise :class:`SelfTestError` where propagation would change what an application sees."""
        settings = pack("policy", {"inject": 1, "extract": 1})
        update(self.policies, struct.pack("=I", SELF_TEST_SLOT), settings)
        update(self.pod_policies, struct.pack("=I", _POD), struct.pack("=I", SELF_TEST_SLOT))
        client, server = loopback_pair()
        with client, server:
            try:
                self._enrol(client)
                self._bytes(client, server)
                self._waiting(client, server)
            except TimeoutError as error:
                raise SelfTestError("a loopback connection in the sockhash stalled") from error
            except OSError as error:
                raise SelfTestError(f"a loopback connection could not go through the sockhash: {os.strerror(error.errno or 0)}") from error

    def _enrol(self, client: socket.socket) -> None:
        local, remote = client.getsockname(), client.getpeername()
        facts: dict[str, int | bytes] = {
            "id": _IDENTITY,
            "pod": _POD,
            "role": 2,
            "local_address": mapped(local[0]),
            "remote_address": mapped(remote[0]),
            "local_port": local[1],
            "remote_port": remote[1],
        }
        seed(self.connections, client.fileno(), facts)
        join(self.sockets, client)

    def _bytes(self, client: socket.socket, server: socket.socket) -> None:
        client.setblocking(False)
        sent, message = 0, _HEAD + b"\r\n" + _BODY
        arrived = bytearray()
        server.setblocking(False)
        while sent < len(message) or len(arrived) < len(message):
            with contextlib.suppress(BlockingIOError):
                sent += client.send(message[sent:])
            if not await_readable(server):
                raise SelfTestError(f"{sent} bytes were sent through the sockhash and {len(arrived)} arrived")
            arrived += server.recv(1 << 20)
        head, _, body = bytes(arrived).partition(b"\r\n\r\n")
        added = (head + b"\r\n").removeprefix(_HEAD)
        if not _FIELD.fullmatch(added):
            raise SelfTestError(f"{added[:200]!r} was added to a request instead of a traceparent")
        while len(body) < len(_BODY) and await_readable(server):
            body += server.recv(1 << 20)
        if body != _BODY:
            raise SelfTestError("a body arrived that is not the one that was sent")

    def _waiting(self, client: socket.socket, server: socket.socket) -> None:
        server.setblocking(True)
        server.sendall(_ANSWER)
        if not await_readable(client):
            raise SelfTestError("epoll does not tell that a socket in the sockhash is readable")
        if (told := readable_bytes(client)) != len(_ANSWER):
            raise SelfTestError(
                f"FIONREAD says {told} where {len(_ANSWER)} bytes wait in a socket in the sockhash (upstream commit 929e30f93125)"
            )
        if client.recv(100) != _ANSWER:
            raise SelfTestError("an answer arrived that is not the one that was sent")
