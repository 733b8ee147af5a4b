"""The connections of a run: what is sent over them, what comes back, and what becomes of those that break.

A request is over when its answer is whole, its connection has broken, or its time is up; one that failed is counted by its reason and
the run goes on. Connections are there when a run begins. One that breaks, or that an answer closes, is made anew by the next request
that wants it, without holding up the others; that request's latency includes it.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from clew_lab.load.message import LoadError, closes, response_length, status
from clew_lab.load.result import Failures, LoadResult

__all__ = ["NANOSECONDS", "Wire"]

NANOSECONDS = 1_000_000_000


@dataclass(slots=True, eq=False)
class _Connection:
    """One connection, if it is open, and the request that it is busy with; ``deadline_ns`` is when that has failed."""

    socket: socket.socket | None = None
    connecting: bool = False
    request: bytes = b""
    due_ns: int = 0
    deadline_ns: int = 0
    received: bytearray = field(default_factory=bytearray)


class Wire:
    """All connections of a run, and what came over them. A context manager."""

    def __init__(self, address: tuple[str, int], connections: int, patience: float) -> None:
        """Open the connections. Raises the socket's ``OSError`` when that fails."""
        self._patience_ns = int(patience * NANOSECONDS)
        self._epoll = select.epoll()
        self._by_fd: dict[int, _Connection] = {}
        self._latencies: list[int] = []
        self._failed: dict[str, Failures] = {}
        self.idle: deque[_Connection] = deque()
        self.outstanding: dict[_Connection, None] = {}
        try:
            for _ in range(connections):
                opened = socket.create_connection(address)
                self._family, self._peer = opened.family, opened.getpeername()
                connection = _Connection(opened)
                self._register(connection, opened, select.EPOLLIN)
                self._opened(opened)
                self.idle.append(connection)
        except OSError:
            self.__exit__()
            raise
        self.begun = time.perf_counter_ns()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._by_fd.values():
            if connection.socket is not None:
                connection.socket.close()
        self._epoll.close()

    def send(self, request: bytes, due_ns: int) -> None:
        """Send over the connection that has been idle longest."""
        connection = self.idle.popleft()
        connection.request = request
        connection.due_ns = due_ns
        connection.deadline_ns = time.perf_counter_ns() + self._patience_ns
        self.outstanding[connection] = None
        try:
            if connection.socket is None:
                self._connect(connection)
            else:
                connection.socket.sendall(request)
        except OSError as error:
            self._fail(connection, _said(error))

    def receive(self, wait: float | None) -> None:
        """Take what arrives within ``wait`` seconds (None: until something does, or a request's time is up)."""
        waits = [] if wait is None else [max(wait, 0.0)]
        oldest = next(iter(self.outstanding), None)
        if oldest is not None:
            waits.append(max(oldest.deadline_ns - time.perf_counter_ns(), 0) / NANOSECONDS)
        if not waits:
            return
        if wait is not None:  # select(2) knows microseconds, where epoll's milliseconds would make every request late
            select.select([self._epoll], [], [], min(waits))
            waits = [0]
        for fd, _ in self._epoll.poll(min(waits)):
            connection = self._by_fd[fd]
            try:
                self._go_on(connection)
            except OSError as error:
                self._fail(connection, _said(error))
        self._expire()

    def result(self) -> LoadResult:
        """What this run saw."""
        return LoadResult(tuple(self._latencies), self._seconds(), self._failed)

    def _seconds(self) -> float:
        return (time.perf_counter_ns() - self.begun) / NANOSECONDS

    def _connect(self, connection: _Connection) -> None:
        """Begin to connect; the request is sent when that is done."""
        connection.socket = socket.socket(self._family, socket.SOCK_STREAM)
        connection.socket.setblocking(False)
        connection.connecting = True
        self._register(connection, connection.socket, select.EPOLLOUT)
        with suppress(BlockingIOError):
            connection.socket.connect(self._peer)

    def _register(self, connection: _Connection, opened: socket.socket, events: int) -> None:
        self._by_fd[opened.fileno()] = connection
        self._epoll.register(opened, events)

    def _opened(self, opened: socket.socket) -> None:
        opened.setblocking(True)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _go_on(self, connection: _Connection) -> None:
        """Do what a connection is ready for."""
        assert connection.socket is not None
        if not connection.connecting:
            self._read(connection, connection.socket)
            return
        error = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        connection.connecting = False
        self._epoll.modify(connection.socket, select.EPOLLIN)
        self._opened(connection.socket)
        connection.socket.sendall(connection.request)

    def _read(self, connection: _Connection, opened: socket.socket) -> None:
        chunk = opened.recv(65536)
        if connection not in self.outstanding:
            self._close(connection)
            return
        received = connection.received
        received += chunk
        length = response_length(received)
        if length is not None and len(received) > length:
            raise LoadError(f"more than one answer to one request: {bytes(received)!r}")
        if length is not None and len(received) == length:
            self._answered(connection)
        elif not chunk:
            self._fail(connection, "the connection ended inside the answer" if received else "the connection ended without an answer")

    def _answered(self, connection: _Connection) -> None:
        latency = time.perf_counter_ns() - connection.due_ns
        code = status(connection.received)
        if 200 <= code < 300:
            self._latencies.append(latency)
        else:
            self._count(f"status {code}")
        if closes(connection.request) or closes(connection.received):
            self._close(connection)
        self._over(connection)

    def _expire(self) -> None:
        """Give up the requests whose time is up; they are in the order in which they were sent."""
        now = time.perf_counter_ns()
        while self.outstanding and (oldest := next(iter(self.outstanding))).deadline_ns <= now:
            self._fail(oldest, f"no answer within {self._patience_ns / NANOSECONDS:g} s")

    def _fail(self, connection: _Connection, reason: str) -> None:
        """Close a connection that is of no use any more. What breaks while it is idle is no failure of a request."""
        self._close(connection)
        if connection in self.outstanding:
            self._count(reason)
            self._over(connection)

    def _count(self, reason: str) -> None:
        now = self._seconds()
        group = self._failed.setdefault(reason, Failures(0, now, now))
        group.count += 1
        group.last = now

    def _close(self, connection: _Connection) -> None:
        if connection.socket is not None:
            del self._by_fd[connection.socket.fileno()]
            connection.socket.close()
            connection.socket = None

    def _over(self, connection: _Connection) -> None:
        del self.outstanding[connection]
        connection.received.clear()
        self.idle.append(connection)


def _said(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
