"""What was added to a message on its way, and what it says."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

_FIELD = re.compile(rb"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\r\n(?:tracestate: ([^\r\n]*)\r\n)?")
GIVEN = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN_PARENT = "00f067aa0ba902b7"


@dataclass(frozen=True, slots=True)
class Added:
    """The fields that were put in front of a message's blank line."""

    trace: str
    parent: str
    flags: int
    tracestate: bytes | None

    @property
    def new(self) -> bool:
        """The trace begins here: its identifier is laid out as Clew's are."""
        return self.trace[22:24] == "c1"


def added(sent: bytes, received: bytes) -> Added:
    """What is in `received` and was not in `sent`; `AssertionError` if that is anything but the fields in their place."""
    blank = sent.index(b"\r\n\r\n") + 2
    rest = len(sent) - blank
    assert received[:blank] == sent[:blank]
    assert received[len(received) - rest :] == sent[blank:]
    field = _FIELD.fullmatch(received, blank, len(received) - rest)
    assert field, received[blank : len(received) - rest]
    return Added(field[1].decode(), field[2].decode(), int(field[3], 16), field[4])


def call_of(identity: str, fields: bytes = b"") -> bytes:
    """What the relay sends to its upstream for /call/IDENTITY."""
    return b"GET /up/" + identity.encode() + b" HTTP/1.1\r\nHost: upstream\r\n" + fields + b"\r\n"


def traceparent(flags: str = "01", trace: str = GIVEN, parent: str = GIVEN_PARENT) -> str:
    """A traceparent's value."""
    return f"00-{trace}-{parent}-{flags}"


def order(to: Sequence[object] | str, *pieces: bytes, **more: object) -> bytes:
    """The body of a request for /raw/… (services/relay.py): send these pieces there, in the way that `more` says."""
    return json.dumps({"to": to, "pieces": [base64.b64encode(piece).decode() for piece in pieces], **more}).encode()
