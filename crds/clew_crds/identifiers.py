"""The Structured layout of trace and span identifiers: where each fact stands, and how to take it out again.

Trace ID, 16 bytes, all fields big endian:

====== ===== ===============================================================
offset bytes field
====== ===== ===============================================================
0      4     the node's IPv4 address, or a hash of its IPv6 address
4      4     Unix time in seconds when the trace began
8      3     sequence number on that node
11     1     debug tag: always ``STRUCTURED_TAG`` in this layout
12     4     process (tgid) in which the trace began
====== ===== ===============================================================

Span ID, 8 bytes: low two bytes of the source's IP address, low two of the destination's, sequence number (4).

Nothing in an identifier proves who made it: one random trace ID in 256 has the tag by chance, and a span ID has no tag at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

STRUCTURED_TAG = 0xC1
"""The debug tag of Clew's Structured layout. ``bpf/context.h`` has the same value, which a test holds it to."""


@dataclass(frozen=True, slots=True)
class TraceIdentifier:
    """The fields of a trace ID in the Structured layout."""

    host: IPv4Address
    seconds: int
    sequence: int
    tag: int
    pid: int

    @property
    def tagged(self) -> bool:
        """Whether the tag is that of Clew's Structured layout."""
        return self.tag == STRUCTURED_TAG

    def pack(self) -> bytes:
        """The identifier as 16 bytes. Raises ``OverflowError`` for a field that does not fit."""
        return b"".join(
            (
                self.host.packed,
                self.seconds.to_bytes(4, "big"),
                self.sequence.to_bytes(3, "big"),
                self.tag.to_bytes(1, "big"),
                self.pid.to_bytes(4, "big"),
            )
        )


@dataclass(frozen=True, slots=True)
class SpanIdentifier:
    """The fields of a span ID in the Structured layout. ``source`` and ``destination`` are the low two bytes of addresses."""

    source: bytes
    destination: bytes
    sequence: int

    def pack(self) -> bytes:
        """The identifier as 8 bytes. Raises ``OverflowError`` for a sequence that does not fit."""
        return self.source + self.destination + self.sequence.to_bytes(4, "big")


def low_bytes(address: IPv4Address | IPv6Address) -> bytes:
    """What a span ID says of an address: its low two bytes."""
    return address.packed[-2:]


def unpack_trace_id(raw: bytes) -> TraceIdentifier:
    """The fields of a 16-byte trace ID, whatever made it. Raises ``ValueError`` for another length."""
    if len(raw) != 16:
        raise ValueError(f"a trace ID has 16 bytes, not {len(raw)}")
    return TraceIdentifier(
        IPv4Address(raw[:4]), int.from_bytes(raw[4:8], "big"), int.from_bytes(raw[8:11], "big"), raw[11], int.from_bytes(raw[12:], "big")
    )


def unpack_span_id(raw: bytes) -> SpanIdentifier:
    """The fields of an 8-byte span ID, whatever made it. Raises ``ValueError`` for another length."""
    if len(raw) != 8:
        raise ValueError(f"a span ID has 8 bytes, not {len(raw)}")
    return SpanIdentifier(raw[:2], raw[2:4], int.from_bytes(raw[4:], "big"))
