"""The reading of W3C Trace Context header values, as plainly as it can be said.

The kernel side (`bpf/http1.h`) reads the same values under the verifier's constraints; this module states what it must
find. `http1_twin` finds the fields in a request's head and hands their values here.

Source: W3C Trace Context Level 2, sections 3.2 (traceparent) and 3.3 (tracestate). What it leaves to the implementer is
decided here:

- Flags other than sampled and random are cleared, in every version: the specification tells senders to set them to zero.
- A combined tracestate longer than 512 characters loses whole members from its right end. Section 3.3.1.5 says that
  members longer than 128 characters SHOULD go first; that needs the whole list in hand, which a bounded single pass has
  not. Such members therefore go only when they are at the end.
- A tracestate's members are not looked into (keys, duplicates, more than 32 of them): Clew adds none of its own and
  passes the list on. But when what would be passed on holds a byte that no tracestate may hold, all of it is dropped.
- White space at the end of a tracestate field stays: section 3.3.1.3.2 says that it MAY be excluded.
- Limits that a bounded reader needs: 512 white space characters are skipped in one place, 8 tracestate fields combined.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SAMPLED = 0x01
RANDOM = 0x02
TRACEPARENT_LENGTH = 55
TRACESTATE_MAX = 512
OWS = b" \t"
OWS_MAX = 256
FIELD_REPEATS = 8
HEX_DIGITS = frozenset(b"0123456789abcdef")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A valid traceparent: identifiers in wire order, and the flags that Clew knows."""

    trace_id: bytes
    parent_id: bytes
    flags: int


def skip_ows(value: bytes) -> bytes:
    """Drop white space (RFC 9110, 5.6.3) from the start of `value`, at most OWS_MAX characters of it."""
    return value[:OWS_MAX].lstrip(OWS) + value[OWS_MAX:]


def parse_traceparent(value: bytes) -> TraceParent | None:
    """Read a traceparent field's value, or None when it is invalid (the trace then begins anew).

    `value` is what follows the colon, with optional white space still around it. Trace Context Level 2, 3.2.2 and 3.2.4.
    """
    value = skip_ows(value)
    if len(value) < TRACEPARENT_LENGTH:
        return None
    version, trace_id, parent_id, flags = value[0:2], value[3:35], value[36:52], value[53:55]
    if any(value[at] != ord("-") for at in (2, 35, 52)):
        return None
    if not HEX_DIGITS.issuperset(version + trace_id + parent_id + flags):
        return None
    if version == b"ff" or not trace_id.strip(b"0") or not parent_id.strip(b"0"):
        return None
    rest = value[TRACEPARENT_LENGTH:]
    if skip_ows(rest) and (version == b"00" or not rest.startswith(b"-")):
        return None
    return TraceParent(bytes.fromhex(trace_id.decode()), bytes.fromhex(parent_id.decode()), int(flags, 16) & (SAMPLED | RANDOM))


def combine_tracestate(values: Sequence[bytes]) -> bytes:
    """Join the values of a message's tracestate fields, in order, into at most 512 characters; empty when unusable.

    `values` are what follows each colon. Empty fields add nothing. Trace Context Level 2, 3.3.1.5; RFC 9110, 5.3.
    """
    if len(values) > FIELD_REPEATS:
        return b""
    combined = b",".join(text for text in map(skip_ows, values) if text)
    if len(combined) > TRACESTATE_MAX:
        combined = combined[: max(combined.rfind(b",", 0, TRACESTATE_MAX + 1), 0)]
    return combined if all(0x20 <= byte <= 0x7E or byte == 0x09 for byte in combined) else b""
