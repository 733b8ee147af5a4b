"""A service that asks another one: plain Python in every way in which services serve, and with no idea of tracing.

`relay.py MODE PORT UPSTREAM` listens on PORT and calls UPSTREAM (HOST:PORT). What a request asks for is its path, whose last part
is an identity that goes with every call it leads to, so that whoever sees the calls knows what belongs together:

    /call/ID     asks the upstream for /up/ID
    /forward/ID  the same, with the request's own trace fields, byte for byte
    /raw/ID      sends what the JSON body says (see `raw`)
    /open/N/ID   opens a file N times
    /missing/ID  tries to open /nowhere/ID
    /run/ID      has a program try that
    /sleep/T/ID  sleeps for T microseconds, or for T,U,… one after the other
    /rename/ID   calls its thread ID
    /later/ID    asks the upstream for /up/ID when the answer has been sent
    /leave/ID    has a thread do so that is made before
    anything     answers at once

It reads and writes sockets itself, so that tests say exactly which bytes are sent, and in which system calls.
"""

import argparse
import asyncio
import base64
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
TRACE_FIELDS = re.compile(rb"(?<=\n)trace(?:parent|state):[^\n]*\n", re.IGNORECASE)
LIBC = ctypes.CDLL(None)  # for what Python does not say as plainly: its sleeps are until a time, and it names no threads
PR_SET_NAME = 15
BACKLOG = 256
POOL = 8


class Relay:
    """What is done with a request, whichever thread does it."""

    def __init__(self, upstream: tuple[str, int], read_size: int) -> None:
        self.upstream = upstream
        self.read_size = read_size
        self.kept: dict[str, socket.socket] = {}
        self.pool = ThreadPoolExecutor(POOL)
        self.ask = self.call
        self.answered = threading.Event()

    def read(self, connection: socket.socket) -> bytes | None:
        """One message, head and body; None when the peer is done."""
        data = b""
        while (end := message_end(data)) is None or len(data) < end:
            part = connection.recv(self.read_size)
            if not part:
                return None
            data += part
        return data

    def serve(self, connection: socket.socket) -> None:
        """Answer a connection's requests one after the other, to its end."""
        with connection, suppress(ConnectionError):
            while request := self.read(connection):
                connection.sendall(answer(self.work(request)))
                self.answered.set()
                if request.startswith(b"GET /later/"):
                    self.call(target_of(request))
                if b"\r\nConnection: close\r\n" in request:
                    return

    def finish(self, connection: socket.socket, request: bytes) -> None:
        """Answer the one request of a connection."""
        with connection, suppress(ConnectionError):
            connection.sendall(answer(self.work(request)))

    def work(self, request: bytes) -> bytes:
        """The body of the answer."""
        head, _, body = request.partition(b"\r\n\r\n")
        verb, *rest = request.split(b" ", 2)[1].strip(b"/").split(b"/")
        match verb:
            case b"call":
                return self.ask(target_of(request))
            case b"forward":
                return self.ask(target_of(request), b"".join(TRACE_FIELDS.findall(head + b"\r\n")))
            case b"raw":
                return self.raw(json.loads(body))
            case b"leave":
                threading.Thread(target=self.outlive, args=[target_of(request)]).start()
            case b"open":
                for _ in range(int(rest[0])):
                    os.close(os.open("/etc/hostname", os.O_RDONLY))
            case b"missing":
                with suppress(FileNotFoundError):
                    os.open(b"/nowhere/" + rest[-1], os.O_RDONLY)
            case b"run":
                subprocess.run(["/bin/cat", b"/nowhere/" + rest[-1]], stderr=subprocess.DEVNULL, check=False)
            case b"sleep":
                for microseconds in rest[0].split(b","):
                    LIBC.usleep(int(microseconds))
            case b"rename":
                LIBC.prctl(PR_SET_NAME, rest[-1])
        return b"ok"

    def outlive(self, target: bytes) -> None:
        """Ask the upstream once the request that led here is over."""
        self.answered.wait()
        self.call(target)

    def call(self, target: bytes, fields: bytes = b"") -> bytes:
        """Ask the upstream, over a new connection."""
        with socket.create_connection(self.upstream) as connection:
            connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: upstream\r\n" + fields + b"\r\n")
            response = self.read(connection)
        if response is None:
            raise ConnectionError("the upstream closed the connection")
        return response.partition(b"\r\n\r\n")[2]

    def raw(self, order: dict[str, object]) -> bytes:
        """Send `pieces` (base64) to `to` ([host, port] or a socket's path), in the way `how` says; return what is answered.

        `how`: a `send` for each piece, the same with `more` to come (MSG_MORE), one `writev` of all, or `sendfile`. `keep` names
        a connection that stays open for later orders; `silent` says that no answer is to be awaited.
        """
        pieces = [base64.b64decode(str(piece)) for piece in list_of(order["pieces"])]
        name = str(order.get("keep", ""))
        connection = self.kept.get(name) or connect(order["to"])
        try:
            deliver(connection, pieces, str(order.get("how", "send")))
            response = b"" if order.get("silent") else self.read(connection)
        finally:
            if name:
                self.kept[name] = connection
            else:
                connection.close()
        return response or b""


def list_of(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def connect(to: object) -> socket.socket:
    if isinstance(to, str):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(to)
        return connection
    host, port = list_of(to)
    connection = socket.create_connection((str(host), int(str(port))))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def deliver(connection: socket.socket, pieces: list[bytes], how: str) -> None:
    """Send the pieces by the system call that is asked for."""
    match how:
        case "send":
            for piece in pieces:
                connection.sendall(piece)
        case "more":
            for piece in pieces[:-1]:
                connection.sendall(piece, socket.MSG_MORE)
            connection.sendall(pieces[-1])
        case "writev":
            while pieces:
                sent = connection.sendmsg(pieces)
                while pieces and sent >= len(pieces[0]):
                    sent -= len(pieces.pop(0))
                if sent:
                    pieces[0] = pieces[0][sent:]
        case "sendfile":
            for piece in pieces:
                with tempfile.TemporaryFile() as file:
                    file.write(piece)
                    file.flush()
                    connection.sendfile(file)
        case _:
            raise ValueError(how)


def message_end(data: bytes) -> int | None:
    """The length of the message at the start of `data`, once its head is there."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = LENGTH.search(data, 0, head + 2)
    return head + 4 + (int(length[1]) if length else 0)


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def target_of(request: bytes) -> bytes:
    """What is asked of the upstream."""
    return b"/up/" + request.split(b" ", 2)[1].rpartition(b"/")[2]


def connections(listener: socket.socket) -> Iterator[socket.socket]:
    while True:
        yield listener.accept()[0]


def single(relay: Relay, listener: socket.socket) -> None:
    """One thread does everything, one connection at a time."""
    for connection in connections(listener):
        relay.serve(connection)


def fork(relay: Relay, listener: socket.socket) -> None:
    """A process for each connection."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for connection in connections(listener):
        if os.fork() == 0:
            relay.serve(connection)
            os._exit(0)
        connection.close()


def thread(relay: Relay, listener: socket.socket) -> None:
    """A thread for each connection."""
    for connection in connections(listener):
        threading.Thread(target=relay.serve, args=[connection], daemon=True).start()


def helper(relay: Relay, listener: socket.socket) -> None:
    """A thread for each connection, and another one for each call of the upstream."""

    def delegate(target: bytes, fields: bytes = b"") -> bytes:
        answers: list[bytes] = []
        worker = threading.Thread(target=lambda: answers.append(relay.call(target, fields)))
        worker.start()
        worker.join()
        return answers[0]

    relay.ask = delegate
    thread(relay, listener)


def borrow(relay: Relay, listener: socket.socket) -> None:
    """A thread for each connection; calls of the upstream go to a pool that grows with them."""
    relay.ask = lambda *arguments: relay.pool.submit(relay.call, *arguments).result()
    thread(relay, listener)


def mixed(relay: Relay, listener: socket.socket) -> None:
    """A thread for each connection, which first has a helper of its own do something, then calls by a pool that grows."""

    def delegate(target: bytes, fields: bytes = b"") -> bytes:
        worker = threading.Thread(target=int)
        worker.start()
        worker.join()
        return relay.pool.submit(relay.call, target, fields).result()

    relay.ask = delegate
    thread(relay, listener)


def hand_on(relay: Relay, listener: socket.socket, spawn: Callable[..., object]) -> None:
    """Read every request here, and have it answered elsewhere."""
    for connection in connections(listener):
        request = relay.read(connection)
        if request:
            spawn(relay.finish, connection, request)


def handoff(relay: Relay, listener: socket.socket) -> None:
    """Requests are read by one thread, and each is answered by a thread made for it."""
    hand_on(relay, listener, lambda work, *arguments: threading.Thread(target=work, args=arguments, daemon=True).start())


def lazypool(relay: Relay, listener: socket.socket) -> None:
    """Requests are read by one thread, and answered by a pool that grows with them."""
    hand_on(relay, listener, relay.pool.submit)


def pool(relay: Relay, listener: socket.socket) -> None:
    """Requests are read by one thread, and answered by a pool that was there before."""
    barrier = threading.Barrier(POOL + 1)
    for _ in range(POOL):
        relay.pool.submit(barrier.wait)
    barrier.wait()
    hand_on(relay, listener, relay.pool.submit)


def coroutines(relay: Relay, listener: socket.socket) -> None:
    """One thread serves all connections at once (asyncio)."""

    async def receive(reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        return head + await reader.readexactly((message_end(head) or 0) - len(head))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await receive(reader)
        identity = request.split(b" ", 2)[1].rpartition(b"/")[2]
        from_upstream, to_upstream = await asyncio.open_connection(*relay.upstream)
        to_upstream.write(b"GET /up/" + identity + b" HTTP/1.1\r\nHost: upstream\r\n\r\n")
        body = (await receive(from_upstream)).partition(b"\r\n\r\n")[2]
        to_upstream.close()
        writer.write(answer(body))
        await writer.drain()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(serve, sock=listener) as server:
            await server.serve_forever()

    asyncio.run(run())


MODES = {
    "single": single,
    "fork": fork,
    "thread": thread,
    "handoff": handoff,
    "helper": helper,
    "pool": pool,
    "lazypool": lazypool,
    "borrow": borrow,
    "mixed": mixed,
    "asyncio": coroutines,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("port", type=int)
    parser.add_argument("upstream")
    parser.add_argument("--read", type=int, default=65536, help="bytes of one read")
    asked = parser.parse_args()
    host, _, port = asked.upstream.rpartition(":")
    # SO_REUSEADDR and both families, so that a test can come by IPv6.
    listener = socket.create_server(("", asked.port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    MODES[asked.mode](Relay((host.strip("[]"), int(port)), asked.read), listener)


if __name__ == "__main__":
    main()
