"""What the loader and its child say to each other: JSON in frames over a socket pair, descriptors beside them.

The parent sends one :class:`Request`, and the descriptors of the maps that its ``shared`` names. The child answers with one
:class:`Reply`, whose ``names`` are in the order of the descriptors that come with it.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from dataclasses import asdict, dataclass, field
from typing import Any

_LENGTH = struct.Struct("!I")
_DESCRIPTORS_A_MESSAGE = 200  # the kernel's limit is 253 (SCM_MAX_FD)
_FRAME_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be compiled and loaded.

    ``maps`` are handed over; those in ``shared`` are there already, and are used instead of the text's own. ``programs`` maps the
    name of each C function that is no trampoline or tracepoint, and so is attached by the parent, to its kind (``sock_ops`` or
    ``sk_msg``); ``tail_calls`` maps a program array to the program that calls itself through it; ``kprobes`` are triples of C
    function, kernel function and whether at its return. ``debug`` is BCC's (0x2: the verifier's counts of processed instructions go
    to standard error).
    """

    text: str
    cflags: list[str]
    tree: str
    maps: list[str]
    shared: list[str] = field(default_factory=list)
    programs: dict[str, str] = field(default_factory=dict)
    tail_calls: dict[str, str] = field(default_factory=dict)
    kprobes: list[tuple[str, str, bool]] = field(default_factory=list)
    debug: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The child's answer: names of the descriptors (``map:…``, ``program:…``, ``link:…``), or an error with the compiler's words."""

    names: list[str] = field(default_factory=list)
    error: str = ""
    compile_seconds: float = 0.0
    attach_seconds: float = 0.0
    peak_kib: int = 0


class HandoverError(Exception):
    """The other side ended, or spoke something else."""


def send(connection: socket.socket, message: Request | Reply, descriptors: list[int] | None = None) -> None:
    """Send one frame, and descriptors behind it in batches."""
    body = json.dumps(asdict(message)).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)
    left = list(descriptors or [])
    while left:
        batch, left = left[:_DESCRIPTORS_A_MESSAGE], left[_DESCRIPTORS_A_MESSAGE:]
        socket.send_fds(connection, [b"d"], batch)


def receive_request(connection: socket.socket) -> tuple[Request, list[int]]:
    """The parent's request and the descriptors of its shared maps. Raises :class:`HandoverError`."""
    request = Request(**_receive_body(connection))
    return request, _receive_descriptors(connection, len(request.shared))


def receive_reply(connection: socket.socket) -> tuple[Reply, list[int]]:
    """The child's reply and the descriptors that its ``names`` tell of. Raises :class:`HandoverError`."""
    reply = Reply(**_receive_body(connection))
    return reply, _receive_descriptors(connection, len(reply.names))


def _receive_descriptors(connection: socket.socket, count: int) -> list[int]:
    descriptors: list[int] = []
    while len(descriptors) < count:
        data, batch, _, _ = socket.recv_fds(connection, 1, _DESCRIPTORS_A_MESSAGE)
        descriptors.extend(batch)
        if not data or not batch:
            for descriptor in descriptors:
                os.close(descriptor)
            raise HandoverError(f"{len(descriptors)} of {count} descriptors were handed over")
    return descriptors


def _receive_body(connection: socket.socket) -> dict[str, Any]:
    (length,) = _LENGTH.unpack(_receive_exactly(connection, _LENGTH.size))
    if length > _FRAME_LIMIT:
        raise HandoverError(f"a frame of {length} bytes is too long")
    body = json.loads(_receive_exactly(connection, length))
    if not isinstance(body, dict):
        raise HandoverError("a frame holds no object")
    return body


def _receive_exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise HandoverError("the loader's child ended without an answer")
        parts += part
    return bytes(parts)
