"""Both ends of the random conversations (tests/kernel/fuzz.py); each holds what it receives to what it must be, byte by byte.

`peer.py serve SEED REQUESTS PORT` takes one connection after the other; what it counted goes to stdout as JSON.
`peer.py send SEED REQUESTS PORT ADDRESS ADDRESS6` makes them. With `--impatient` both ends have small buffers, and the sender does not
block, so that the kernel takes sends in part. With `--no-files` it sends nothing by sendfile.
"""

import argparse
import itertools
import json
import os
import re
import select
import socket
import sys
import tempfile
from collections import Counter

from tests.kernel.fuzz import INTERIM, Conversation, Exchange, Flight, Write, conversations

FIELD = re.compile(rb"traceparent: 00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]\r\n")
FIELD_LENGTH = 70
PATIENCE = 60.0


class Mismatch(AssertionError):
    """Bytes arrived that are not those that were sent."""


class Reader:
    """What comes over a connection, compared as it is taken."""

    def __init__(self, connection: socket.socket, place: str) -> None:
        self.connection = connection
        self.place = place
        self.data = bytearray()
        self.again = 0

    def receive(self) -> bytes:
        """Some bytes; none at the end. What blocks may say EAGAIN, by a flaw of kernels that docs/safety.md tells of."""
        while True:
            try:
                return self.connection.recv(1 << 16)
            except BlockingIOError:
                self.again += 1
                await_event(self.connection, select.POLLIN, "the peer says no more")

    def have(self, count: int) -> bytes:
        """The next `count` bytes, which stay."""
        while len(self.data) < count:
            part = self.receive()
            if not part:
                raise Mismatch(f"{self.place}: the connection ended after {bytes(self.data)!r}")
            self.data += part
        return bytes(self.data[:count])

    def expect(self, wanted: bytes, what: str) -> None:
        """Take bytes that must be these."""
        found = self.have(len(wanted))
        if found != wanted:
            at = next(index for index, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
            near = slice(max(0, at - 60), at + 100)
            raise Mismatch(f"{self.place}, {what}, byte {at}: {found[near]!r} instead of {wanted[near]!r}")
        del self.data[: len(wanted)]

    def end(self) -> None:
        """The peer has nothing more to say."""
        rest = bytes(self.data) or self.receive()
        if rest:
            raise Mismatch(f"{self.place}: {rest!r} came after the end")


def serve(made: Conversation, connection: socket.socket, counts: Counter[str]) -> None:
    """The server's side of a conversation."""
    reader = Reader(connection, f"conversation {made.number}")
    for flight in made.flights:
        for number, exchange in enumerate(flight.exchanges):
            take(reader, exchange, flight, f"request {number} of {len(flight.exchanges)}", counts)
            connection.sendall(exchange.response)
    reader.expect(made.tunnel[0], "the client's bytes of the tunnel")
    connection.sendall(made.tunnel[1])
    if not made.closes:
        reader.end()


def take(reader: Reader, exchange: Exchange, flight: Flight, what: str, counts: Counter[str]) -> None:
    """Take one request; the field that was added is all that may be more than was sent."""
    counts["requests"] += 1
    request = exchange.request
    if exchange.blank < 0:
        counts["own"] += 1
        reader.expect(request, what)
        return
    reader.expect(request[: exchange.blank], what)
    if reader.have(2) == b"\r\n":
        counts["bare"] += 1
    elif FIELD.fullmatch(field := reader.have(FIELD_LENGTH)):
        counts["added"] += 1
        del reader.data[:FIELD_LENGTH]
    else:
        raise Mismatch(f"{reader.place}, {what}: {field!r} instead of a traceparent or the blank line")
    if flight.pause:
        reader.expect(request[exchange.blank : flight.pause], what)
        reader.connection.sendall(INTERIM)
        reader.expect(request[flight.pause :], what)
    else:
        reader.expect(request[exchange.blank :], what)


def send(made: Conversation, connection: socket.socket, *, files: bool) -> int:
    """The client's side of a conversation. Returns how often the kernel said EAGAIN where it should have waited."""
    reader = Reader(connection, f"answers of conversation {made.number}")
    for flight in made.flights:
        data = b"".join(exchange.request for exchange in flight.exchanges)
        waits = flight.pause
        for write in flight.writes:
            if waits and write.start == waits:
                reader.expect(INTERIM, "interim response")
                waits = 0
            deliver(connection, data, write, "send" if write.how == "sendfile" and not files else write.how)
        if waits:
            reader.expect(INTERIM, "interim response")
        for exchange in flight.exchanges:
            reader.expect(exchange.response, "response")
    connection.sendall(made.tunnel[0])
    reader.expect(made.tunnel[1], "the server's bytes of the tunnel")
    if made.closes:
        reader.end()
    return reader.again


def deliver(connection: socket.socket, data: bytes, write: Write, how: str) -> None:
    """Send some bytes in this way."""
    part = data[write.start : write.end]
    match how:
        case "send":
            whole(connection, part)
        case "more":
            whole(connection, part, socket.MSG_MORE)
        case "bytewise":
            for at in range(len(part)):
                whole(connection, part[at : at + 1])
        case "writev":
            edges = [write.start, *write.cuts, write.end]
            sent = connection.sendmsg([data[a:b] for a, b in itertools.pairwise(edges)])
            whole(connection, part[sent:])
        case "sendfile":
            # A file for each: the kernel sends from its pages, some time later.
            with tempfile.TemporaryFile() as file:
                file.write(part)
                file.flush()
                at = 0
                while at < len(part):
                    try:
                        at += os.sendfile(connection.fileno(), file.fileno(), at, len(part) - at)
                    except BlockingIOError:
                        await_event(connection, select.POLLOUT, "the peer takes no more")


def whole(connection: socket.socket, part: bytes, flags: int = 0) -> None:
    """Send all of it, in as many system calls as it takes."""
    while part:
        part = part[connection.send(part, flags) :]


def await_event(connection: socket.socket, event: int, problem: str) -> None:
    waiting = select.poll()
    waiting.register(connection, event)
    if not waiting.poll(PATIENCE * 1000):
        raise TimeoutError(problem)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["serve", "send"])
    parser.add_argument("seed", type=int)
    parser.add_argument("requests", type=int)
    parser.add_argument("port", type=int)
    parser.add_argument("address", nargs="*")
    parser.add_argument("--impatient", action="store_true")
    parser.add_argument("--no-files", action="store_true")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    try:
        if asked.role == "serve":
            listener = socket.create_server(("", asked.port), family=socket.AF_INET6, dualstack_ipv6=True)
            if asked.impatient:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for made in conversations(asked.seed, asked.requests):
                with listener.accept()[0] as connection:
                    connection.settimeout(PATIENCE)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    serve(made, connection, counts)
            print(json.dumps(counts))
        else:
            again = 0
            for made in conversations(asked.seed, asked.requests):
                with socket.create_connection((asked.address[made.six], asked.port), PATIENCE) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    # A timeout makes the descriptor one that does not block: Python waits in poll.
                    if asked.impatient:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
                    else:
                        connection.settimeout(None)
                    again += send(made, connection, files=not asked.no_files)
            print(again)
    except (Mismatch, OSError) as problem:
        sys.exit(f"seed {asked.seed}, {asked.role}: {type(problem).__name__}: {problem}")


if __name__ == "__main__":
    main()
