"""Hypothesis strategies for whole exchanges on one connection: valid ones in all their kinds, and ways to cut and scatter them.

A `Dialogue` is what both ends say, in order. Requests go one by one or pipelined; their bodies have a length, are chunked, or
are not there; some are answered before their body has come. Answers are preceded by interim ones, run until the end, have no
body for reasons of their own, refuse or accept another protocol.
"""

import random
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.truth import http1_strategies as http1

BODIES = st.one_of(st.binary(max_size=60), st.sampled_from([b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]))
FIELDS = st.lists(
    st.sampled_from(
        [
            b"Host: a\r\n",
            b"X: traceparent: y\r\n",
            b"X-Traceparent: z\r\n",
            b"Tracestate: own=1\r\n",
            b"A: \r\n",
            b"Cookie: " + b"c" * 1100 + b"\r\n",
        ]
    ),
    max_size=3,
)
OWN = st.sampled_from([b"", b"", b"", b"Traceparent: z\r\n", b"traceparent:00-" + b"12" * 16 + b"-" + b"34" * 8 + b"-01\r\n"])
INTERIM = st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"])
OTHER_PROTOCOL = b"\x81\x02hi\r\n\r\nGET / HTTP/1.1\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What is said: (side, bytes), alternating or not. `close`: the server ends it."""

    steps: list[tuple[str, bytes]]
    close: bool


@st.composite
def _framed(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a body and the field that says where it ends."""
    if draw(st.booleans()):
        return b"Transfer-Encoding: chunked\r\n", draw(http1.chunked_bodies())
    body = draw(BODIES)
    return b"Content-Length: %d\r\n" % len(body), body


@st.composite
def _head(draw: st.DrawFn, start: bytes, *fields: bytes) -> bytes:
    others = draw(FIELDS)
    return start + b"\r\n" + b"".join(draw(st.permutations([*others, *fields]))) + b"\r\n"


@st.composite
def _request(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """Draw a request: its method, head and body."""
    method = draw(st.sampled_from([b"GET", b"GET", b"HEAD", b"POST", b"POST"]))
    framing, body = draw(_framed()) if method == b"POST" else (b"", b"")
    return method, draw(_head(method + b" " + draw(http1.TARGETS) + b" HTTP/1.1", framing, draw(OWN))), body


@st.composite
def _answer(draw: st.DrawFn, method: bytes) -> bytes:
    """Draw the whole answer to a request."""
    status = draw(st.sampled_from([b"200 OK", b"200 OK", b"404 Not Found", b"500", b"204 No Content", b"304 Not Modified"]))
    framing, body = draw(_framed())
    if method == b"HEAD" or status[:3] in (b"204", b"304"):
        body = b""
    return draw(INTERIM) + draw(_head(b"HTTP/1.1 " + status, framing)) + body


@st.composite
def _last_words(draw: st.DrawFn) -> tuple[list[tuple[str, bytes]], bool]:
    """Draw how a connection's HTTP comes to its end, if it does."""
    upgrade, connect = b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"
    match draw(st.sampled_from(["none", "until close", "upgrade", "upgrade refused", "connect", "connect refused"])):
        case "until close":
            return [("client", b"GET / HTTP/1.0\r\n\r\n"), ("server", b"HTTP/1.0 200 OK\r\n\r\n" + draw(BODIES))], True
        case "upgrade":
            return [("client", upgrade), ("server", b"HTTP/1.1 101 S\r\n\r\n" + OTHER_PROTOCOL), ("client", OTHER_PROTOCOL)], False
        case "upgrade refused":
            return [("client", upgrade), ("server", draw(_answer(b"GET"))), ("client", b"GET /last HTTP/1.1\r\n\r\n")], False
        case "connect":
            return [("client", connect), ("server", b"HTTP/1.1 200 OK\r\n\r\n" + OTHER_PROTOCOL), ("client", OTHER_PROTOCOL)], False
        case "connect refused":
            return [("client", connect), ("server", b"HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx")], False
    return [], False


@st.composite
def dialogues(draw: st.DrawFn) -> Dialogue:
    """Draw a valid exchange."""
    steps: list[tuple[str, bytes]] = []
    for _ in range(draw(st.integers(0, 2))):
        requests = draw(st.lists(_request(), min_size=1, max_size=3))
        answers = [draw(_answer(method)) for method, _, _ in requests]
        early = draw(st.integers(0, len(requests[-1][2]))) if draw(st.booleans()) else 0  # of the last body, behind the answers
        asked = b"".join(head + body for _, head, body in requests)
        steps += [("client", asked[: len(asked) - early]), ("server", b"".join(answers)), ("client", asked[len(asked) - early :])]
    end, close = draw(_last_words())
    return Dialogue([(side, data) for side, data in steps + end if data], close)


def scattered(data: bytes, dice: random.Random) -> list[list[bytes]]:
    """Writes that make up `data`, each in up to four pieces. By dice, since drawing every cut would take most of a test's time."""
    bytewise = len(data) < 200 and dice.random() < 0.2
    places = list(range(len(data))) if bytewise else [dice.randint(0, len(data)) for _ in range(dice.randint(0, 8))]
    return [_split(write, [dice.randint(0, len(write)) for _ in range(dice.randint(0, 3))]) for write in _split(data, places) if write]


def spoiled(data: bytes, dice: random.Random) -> bytes:
    """The same with up to two bytes changed, put in or left out."""
    text = bytearray(data)
    for _ in range(dice.randint(0, 2)):
        at = dice.randint(0, len(text))
        text[at : at + dice.randint(0, 1)] = dice.choice((b"", bytes([dice.choice(http1.INTERESTING)])))
    return bytes(text)


def _split(data: bytes, places: list[int]) -> list[bytes]:
    ordered = sorted(places)
    return [data[left:right] for left, right in zip([0, *ordered], [*ordered, len(data)], strict=True)]
