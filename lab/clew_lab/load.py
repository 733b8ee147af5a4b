"""An HTTP/1.1 load generator that costs little: one thread, one epoll, keep-alive connections.

It shares the guest's two processors with what it measures, so it does no more per request than one send, one wait and one or two
receives. Closed loop: every connection sends its next request when the last one was answered. Open loop: requests are due at a
fixed rate whatever the service does, and latency counts from the moment a request was due, so that a stall is seen by
every request it delays ("coordinated omission" is not possible).
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["LoadError", "LoadResult", "closed_loop", "get", "open_loop", "response_length"]

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
_NANOSECONDS = 1_000_000_000


class LoadError(RuntimeError):
    """The service stalled, or answered something that is not the plain HTTP this generator reads."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a run saw: a latency in nanoseconds per answered request, how many answers were no 2xx, and its length in seconds."""

    latencies_ns: Sequence[int]
    failures: int
    seconds: float

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return len(self.latencies_ns)


def get(host: str, target: str, *, close: bool = False) -> bytes:
    """The bytes of a GET request for ``target``, in origin form."""
    last = "Connection: close\r\n" if close else ""
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: clew-load\r\nAccept: */*\r\n{last}\r\n".encode()


def closed_loop(
    address: tuple[str, int], request: Callable[[int], bytes], *, connections: int, count: int | None = None, seconds: float | None = None
) -> LoadResult:
    """Send ``request(0)``, ``request(1)``, … over ``connections`` connections, until ``count`` are sent or ``seconds`` have passed.

    Every request that was sent is waited for. Raises ``LoadError`` and the socket's ``OSError``.
    """
    if count is None and seconds is None:
        raise ValueError("a closed loop needs a count of requests or a length in seconds")
    most = count if count is not None else 1 << 62
    with _Wire(address, connections) as wire:
        begun = time.perf_counter_ns()
        end = begun + int(seconds * _NANOSECONDS) if seconds is not None else 1 << 62
        number = 0
        while wire.idle and number < most:
            wire.send(request(number), time.perf_counter_ns())
            number += 1
        while wire.outstanding:
            for _ in range(wire.receive(None)):
                now = time.perf_counter_ns()
                if number < most and now < end:
                    wire.send(request(number), now)
                    number += 1
        return wire.result((time.perf_counter_ns() - begun) / _NANOSECONDS)


def open_loop(
    address: tuple[str, int], request: Callable[[int], bytes], *, rate: float, seconds: float, connections: int = 32
) -> LoadResult:
    """Send ``rate`` requests per second for ``seconds``; one that finds every connection busy waits, and its latency grows.

    Every request is waited for. Raises ``LoadError`` and the socket's ``OSError``.
    """
    with _Wire(address, connections) as wire:
        begun = time.perf_counter_ns()
        due = deque(begun + int(number * _NANOSECONDS / rate) for number in range(int(rate * seconds)))
        number = 0
        while due or wire.outstanding:
            now = time.perf_counter_ns()
            while due and wire.idle and due[0] <= now:
                wire.send(request(number), due.popleft())
                number += 1
            wait = (due[0] - now) / _NANOSECONDS if due and wire.idle else None
            wire.receive(wait)
        return wire.result((time.perf_counter_ns() - begun) / _NANOSECONDS)


def response_length(received: bytes | bytearray) -> int | None:
    """The length in bytes of the response at the start of ``received``, head and body; None while its head is not whole.

    Raises ``LoadError`` for a response without a Content-Length: this generator reads no other framing.
    """
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = _LENGTH.search(received, 0, head + 2)
    if length is None:
        raise LoadError(f"a response without Content-Length: {bytes(received[: head + 4])!r}")
    return head + 4 + int(length[1])


@dataclass(slots=True, eq=False)
class _Connection:
    """One keep-alive connection and the answer it is waiting for; ``last`` when that request asked the server to close."""

    socket: socket.socket
    due_ns: int = 0
    last: bool = False
    received: bytearray = field(default_factory=bytearray)


class _Wire:
    """All connections of a run, and what came over them."""

    _stall_seconds = 60.0

    def __init__(self, address: tuple[str, int], connections: int) -> None:
        self._address = address
        self._epoll = select.epoll()
        self._by_fd: dict[int, _Connection] = {}
        self._latencies: list[int] = []
        self._failures = 0
        self.outstanding = 0
        self.idle: deque[_Connection] = deque()
        try:
            for _ in range(connections):
                self._open()
        except OSError:
            self.__exit__()
            raise

    def __enter__(self) -> _Wire:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._by_fd.values():
            connection.socket.close()
        self._epoll.close()

    def send(self, request: bytes, due_ns: int) -> None:
        """Send over the connection that has been idle longest."""
        connection = self.idle.popleft()
        connection.due_ns = due_ns
        connection.last = _CLOSE.search(request) is not None
        self.outstanding += 1
        connection.socket.sendall(request)

    def receive(self, wait: float | None) -> int:
        """Take what arrives within ``wait`` seconds (None: until something does); returns how many answers became whole."""
        events = self._epoll.poll(self._stall_seconds if wait is None else max(wait, 0.0))
        if not events and wait is None:
            raise LoadError(f"{self.outstanding} requests got no answer for {self._stall_seconds:g} s")
        return sum(self._read(self._by_fd[fd]) for fd, _ in events)

    def result(self, seconds: float) -> LoadResult:
        """What this run saw."""
        return LoadResult(tuple(self._latencies), self._failures, seconds)

    def _open(self) -> None:
        connection = _Connection(socket.create_connection(self._address))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket.settimeout(None)
        self._by_fd[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)
        self.idle.append(connection)

    def _replace(self, connection: _Connection) -> None:
        """The server closed this connection: go on with a new one."""
        del self._by_fd[connection.socket.fileno()]
        self._epoll.unregister(connection.socket)
        connection.socket.close()
        self._open()

    def _read(self, connection: _Connection) -> bool:
        chunk = connection.socket.recv(65536)
        received = connection.received
        received += chunk
        length = response_length(received)
        if length is None or len(received) < length:
            if chunk:
                return False
            if received or connection not in self.idle:
                raise LoadError(f"the connection ended inside an answer: {bytes(received)!r}")
            self.idle.remove(connection)
            self._replace(connection)
            return False
        if len(received) > length:
            raise LoadError(f"more than one answer to one request: {bytes(received)!r}")
        self._latencies.append(time.perf_counter_ns() - connection.due_ns)
        self._failures += not received.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2"))
        self.outstanding -= 1
        closes = connection.last or _CLOSE.search(received) is not None
        received.clear()
        if closes:
            self._replace(connection)
        else:
            self.idle.append(connection)
        return True
