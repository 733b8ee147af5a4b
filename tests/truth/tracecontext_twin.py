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
  passes the list on. But bytes that no tracestate may hold make it worthless, so it is dropped as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SAMPLED = 0x01
RANDOM = 0x02
TRACEPARENT_LENGTH = 55
TRACESTATE_MAX = 512
OWS = b" \t"
HEX_DIGITS = frozenset(b"0123456789abcdef")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A valid traceparent: identifiers in wire order, and the flags that Clew knows."""

    trace_id: bytes
    parent_id: bytes
    flags: int


def parse_traceparent(value: bytes) -> TraceParent | None:
    """Read a traceparent field's value, or None when it is invalid (the trace then begins anew).

    `value` is what follows the colon, with optional white space still around it. Trace Context Level 2, 3.2.2 and 3.2.4.
    """
    value = value.strip(OWS)
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
    if rest and (version == b"00" or not rest.startswith(b"-")):
        return None
    return TraceParent(bytes.fromhex(trace_id.decode()), bytes.fromhex(parent_id.decode()), int(flags, 16) & (SAMPLED | RANDOM))


def combine_tracestate(values: Sequence[bytes]) -> bytes:
    """Join the values of a message's tracestate fields, in order, into at most 512 characters; empty when unusable.

    `values` are what follows each colon. Empty fields add nothing. Trace Context Level 2, 3.3.1.5; RFC 9110, 5.3.
    """
    trimmed = [value.strip(OWS) for value in values]
    if any(not (0x20 <= byte <= 0x7E or byte == 0x09) for value in trimmed for byte in value):
        return b""
    combined = b",".join(value for value in trimmed if value)
    if len(combined) <= TRACESTATE_MAX:
        return combined
    return combined[: max(combined.rfind(b",", 0, TRACESTATE_MAX + 1), 0)]
