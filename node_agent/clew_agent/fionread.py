"""Does this kernel answer FIONREAD for sockets in a sockhash?

Kernels with upstream commit 929e30f93125 answer 0 whatever has come, and applications that ask first (nginx, Java, .NET) stall.
The question is put to the running kernel, with a sockhash and a loopback connection of our own; version numbers would lie.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import struct
import termios
from contextlib import closing

from clew_agent.loader.syscalls import create_sockhash, update

_SENT = b"x" * 100
_PATIENCE = 10.0  # seconds


def readable_bytes(connection: socket.socket) -> int:
    """What FIONREAD says of a socket."""
    answer = array.array("i", [0])
    fcntl.ioctl(connection, termios.FIONREAD, answer)
    return answer[0]


def loopback_pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair of TCP sockets: the one that connected, and the one that accepted."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=_PATIENCE)
        server, _ = listener.accept()
    server.settimeout(_PATIENCE)
    return client, server


def await_readable(connection: socket.socket) -> bool:
    """Wait until epoll says that there is something to read; False if it never does."""
    with closing(select.epoll()) as poll:
        poll.register(connection, select.EPOLLIN)
        return bool(poll.poll(_PATIENCE))


def has_fault() -> bool:
    """True where FIONREAD of a member of a sockhash is wrong. Raises ``OSError`` where a sockhash cannot be made."""
    table = create_sockhash(1)
    client, server = loopback_pair()
    with client, server:
        try:
            update(table, struct.pack("=Q", 1), struct.pack("=I", client.fileno()))
            server.sendall(_SENT)
            await_readable(client)
            return readable_bytes(client) != len(_SENT)
        finally:
            os.close(table)
