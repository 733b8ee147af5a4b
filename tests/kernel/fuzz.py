"""Random conversations of HTTP/1.1: what a client sends, in which system calls, and what it is answered.

A conversation is made from a seed and a number alone, so that both ends (services/peer.py) make it for themselves, each knowing
every byte beforehand, and a failure can be had again.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

TOKEN = bytes(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~"[byte % 67] for byte in range(256))
VALUE = bytes((b" \t!#$%&'()*+,-./0123456789:;<=>?@ABCXYZ[]^_`abcxyz{|}~\"" + bytes(range(0xA0, 0x100)))[byte % 150] for byte in range(256))
OWN = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DECOYS = (
    b"X-Traceparent: " + OWN,
    b"X-Foo: traceparent: " + OWN,
    b"traceparent-x: " + OWN,
    b"tracestate: a=b,c=d",
    b"Upgrade-Insecure-Requests: 1",
)
METHODS = (b"GET", b"GET", b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PROPFIND", b"M-SEARCH")
LOOKALIKE = b"GET /body HTTP/1.1\r\nHost: body\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
# The programs follow 30 heads and bodies in one system call: these stay below it (test_bytes.py has what is above).
PIPELINE_MAX = 5
CHUNKS_MAX = 4
SPLITS_MAX = 8
BYTEWISE_MAX = 300


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, its blank line's offset (-1: it brings a traceparent), and the response to it."""

    request: bytes
    blank: int
    response: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """One system call, or several for `bytewise`: bytes `start` to `end` of a flight, by `how`, at the `cuts` where it takes a list."""

    how: str
    start: int
    end: int
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Flight:
    """Requests that are sent without waiting for answers. With `pause`, INTERIM is awaited when so many bytes are sent."""

    exchanges: tuple[Exchange, ...]
    writes: tuple[Write, ...]
    pause: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """What goes over one connection. `tunnel` is what both sides say when it is HTTP no longer; `closes`: the server ends it."""

    number: int
    six: bool
    flights: tuple[Flight, ...]
    tunnel: tuple[bytes, bytes] = (b"", b"")
    closes: bool = False

    @property
    def requests(self) -> int:
        """How many requests there are."""
        return sum(len(flight.exchanges) for flight in self.flights)


def conversations(seed: int, requests: int) -> Iterator[Conversation]:
    """Conversations until there have been so many requests."""
    number = 0
    while requests > 0:
        made = conversation(seed, number)
        requests -= made.requests
        number += 1
        yield made


def conversation(seed: int, number: int) -> Conversation:
    """Make the conversation of that number."""
    rng = random.Random(f"{seed}/{number}")
    flights = [_flight(rng) for _ in range(rng.choice((1, 3, 8, 15)))]
    six = rng.random() < 0.2
    ending = rng.random()
    if ending < 0.1:
        flights.append(_alone(rng, b"GET", [b"Connection: Upgrade", b"Upgrade: websocket"], b"HTTP/1.1 101 Switching Protocols\r\n\r\n"))
        return Conversation(number, six, tuple(flights), (LOOKALIKE + rng.randbytes(200), LOOKALIKE))
    if ending < 0.15:
        flights.append(_alone(rng, b"CONNECT", [], b"HTTP/1.1 200 OK\r\n\r\n"))
        return Conversation(number, six, tuple(flights), (LOOKALIKE, rng.randbytes(100)))
    if ending < 0.25:
        flights.append(_alone(rng, b"GET", [], b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + LOOKALIKE))
        return Conversation(number, six, tuple(flights), closes=True)
    return Conversation(number, six, tuple(flights))


def _flight(rng: random.Random) -> Flight:
    if rng.random() < 0.04:
        return _expecting(rng)
    exchanges = tuple(_exchange(rng) for _ in range(rng.choice((1, 1, 1, 2, 3, PIPELINE_MAX))))
    return Flight(exchanges, _writes(rng, 0, sum(len(one.request) for one in exchanges)))


def _alone(rng: random.Random, method: bytes, fields: list[bytes], response: bytes) -> Flight:
    """One request behind which nothing may come before its answer."""
    head, blank = _head(rng, method, fields)
    return Flight((Exchange(head, blank, response),), _writes(rng, 0, len(head)))


def _expecting(rng: random.Random) -> Flight:
    body = _body(rng)
    head, blank = _head(rng, b"POST", [b"Expect: 100-continue", b"Content-Length: %d" % len(body)])
    writes = (*_writes(rng, 0, len(head)), *(_writes(rng, len(head), len(head) + len(body)) if body else ()))
    return Flight((Exchange(head + body, blank, _response(rng, b"POST")),), writes, pause=len(head))


def _exchange(rng: random.Random) -> Exchange:
    method = rng.choice(METHODS)
    fields = [rng.choice(DECOYS)] if rng.random() < 0.2 else []
    own = rng.random() < 0.04
    if own:
        fields.append(rng.choice((b"traceparent: ", b"TRACEPARENT:", b"Traceparent:\t")) + OWN)
    body = _body(rng) if method in (b"POST", b"PUT", b"PROPFIND") else b""
    if body and rng.random() < 0.4:
        body = _chunked(rng, body)
        fields.append(rng.choice((b"Transfer-Encoding: chunked", b"transfer-encoding:gzip, CHUNKED")))
    elif body or rng.random() < 0.1:
        fields.append(rng.choice((b"Content-Length: %d", b"content-length:%d", b"CONTENT-LENGTH:\t%d ")) % len(body))
    head, blank = _head(rng, method, fields)
    return Exchange(head + body, -1 if own else blank, _response(rng, method))


def _head(rng: random.Random, method: bytes, fields: list[bytes]) -> tuple[bytes, int]:
    """A head with these fields among others, in any order, and its blank line's offset."""
    others = rng.choice((0, 2, 5, 12))
    longest = rng.choice((20, 60, 60, 500)) if rng.random() < 0.97 else 6000 // (others + 1)
    for _ in range(others):
        name = b"X-" + rng.randbytes(rng.randint(1, 20)).translate(TOKEN)
        fields.append(name + b":" + rng.choice((b"", b" ", b"\t ")) + rng.randbytes(rng.randint(0, longest)).translate(VALUE))
    rng.shuffle(fields)
    target = b"host:443" if method == b"CONNECT" else b"/" + rng.randbytes(rng.choice((0, 5, 40, 400))).translate(TOKEN)
    lines = b"\r\n".join((method + b" " + target + b" HTTP/1.1", b"Host: fuzz", *fields, b""))
    return lines + b"\r\n", len(lines)


def _body(rng: random.Random) -> bytes:
    size = rng.choice((0, 1, 30, 300, 2000)) if rng.random() < 0.97 else rng.randint(10_000, 100_000)
    return (LOOKALIKE * (size // len(LOOKALIKE) + 1))[:size] if rng.random() < 0.3 else rng.randbytes(size)


def _chunked(rng: random.Random, body: bytes) -> bytes:
    parts = []
    step = max(1, -(-len(body) // rng.randint(1, CHUNKS_MAX)))
    for start in range(0, len(body), step):
        part = body[start : start + step]
        size = rng.choice((b"%x", b"%X", b"00%x", b"%x;name=value")) % len(part)
        parts.append(size + b"\r\n" + part + b"\r\n")
    trailer = b"X-Trailer: traceparent\r\n" if rng.random() < 0.2 else b""
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def _response(rng: random.Random, method: bytes) -> bytes:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" if rng.random() < 0.05 else b""
    body = _body(rng)
    if method == b"HEAD":
        return hints + b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    form = rng.random()
    if form < 0.1:
        return hints + b"HTTP/1.1 204 No Content\r\n\r\n"
    if form < 0.2:
        return hints + b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"
    if form < 0.5:
        return hints + b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunked(rng, body)
    return hints + b"HTTP/1.1 404 Not Found\r\nServer: fuzz\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _writes(rng: random.Random, start: int, end: int) -> tuple[Write, ...]:
    """Cut bytes `start` to `end` of a flight into system calls."""
    way = rng.random()
    if way < 0.03 and end - start <= BYTEWISE_MAX:
        return (Write("bytewise", start, end),)
    cuts = sorted(rng.sample(range(start + 1, end), min(rng.randint(0, SPLITS_MAX), end - start - 1)))
    if way < 0.4:
        return (Write("send", start, end),)
    if way < 0.5:
        return (Write("writev", start, end, tuple(cuts)),)
    if way < 0.55:
        return (Write("sendfile", start, end),)
    edges = [start, *cuts, end]
    pairs = list(itertools.pairwise(edges))
    hows = [rng.choice(("send", "send", "more")) for _ in pairs[1:]]
    return tuple(Write(how, *pair) for how, pair in zip([*hows, "send"], pairs, strict=True))
