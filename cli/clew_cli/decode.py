"""``clew decode``: what a trace ID, a span ID or a whole ``traceparent`` says. Pure: the present time is passed in.

An identifier cannot prove that Clew made it, so each result carries a verdict with its reason rather than a yes or no.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from clew_crds.identifiers import STRUCTURED_TAG, SpanIdentifier, TraceIdentifier, unpack_span_id, unpack_trace_id

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_FIRST_SECOND = 1_704_067_200  # 2024-01-01: Clew is younger than that
_CLOCK_SLACK = 24 * 3600


@dataclass(frozen=True, slots=True)
class Field:
    """One fact in an identifier; ``note`` helps people and is left out of ``--json``."""

    name: str
    value: str | int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One identifier taken apart: ``kind`` is trace, span or traceparent; ``verdict`` is a sentence on what made it."""

    text: str
    kind: str
    fields: tuple[Field, ...]
    structured: bool | None
    verdict: str

    def as_json(self) -> dict[str, object]:
        """The same for ``--json``; ``structured`` is null where nothing can be said."""
        fields = {field.name.lower().replace(" ", "_"): field.value for field in self.fields}
        return {"id": self.text, "kind": self.kind, "structured": self.structured, "verdict": self.verdict, "fields": fields}


def decode(text: str, now: float) -> Decoded:
    """Take ``text`` apart; ``now`` is Unix seconds, against which an identifier's time is judged.

    Raises ``ValueError`` with a sentence for the user when ``text`` is no identifier.
    """
    given = re.sub(r"^traceparent:", "", text.strip(), flags=re.IGNORECASE).strip()
    lower = given.lower()
    if "-" in lower:
        return _traceparent(lower, now)
    if not re.fullmatch(r"[0-9a-f]+", lower):
        raise ValueError(f'"{_short(text)}" is no identifier: only hexadecimal digits are allowed')
    if len(lower) not in (16, 32):
        raise ValueError(f'"{_short(text)}" has {len(lower)} digits: a trace ID has 32, a span ID 16')
    if not lower.strip("0"):
        raise ValueError(f'"{_short(text)}" is all zero, which W3C Trace Context forbids')
    if len(lower) == 32:
        trace = unpack_trace_id(bytes.fromhex(lower))
        structured, verdict = judge(trace, now)
        return Decoded(lower, "trace", _trace_fields(trace), structured, verdict)
    verdict = "a span ID carries no tag: these fields mean something only if Clew made it in the Structured layout"
    return Decoded(lower, "span", _span_fields(unpack_span_id(bytes.fromhex(lower))), None, verdict)


def judge(trace: TraceIdentifier, now: float) -> tuple[bool, str]:
    """Whether a trace ID looks like one of Clew's Structured layout, and a sentence that says why."""
    if not trace.tagged:
        return (
            False,
            f"looks random or foreign: the debug tag is {trace.tag:#04x}, not Clew's {STRUCTURED_TAG:#04x}; the fields mean nothing then",
        )
    if not _FIRST_SECOND <= trace.seconds <= now + _CLOCK_SLACK:
        return False, f"looks random or foreign: it has the tag {STRUCTURED_TAG:#04x}, but its time is before 2024 or in the future"
    return True, f"looks like Clew's Structured layout: the debug tag is {STRUCTURED_TAG:#04x} and the time is plausible"


def render(decoded: Decoded) -> str:
    """The result for people: one line a field, then the verdict."""
    width = max(len(field.name) for field in decoded.fields)
    lines = [f"{decoded.kind} {decoded.text}"]
    lines += [f"  {field.name.ljust(width)}  {field.value}{field.note and f' ({field.note})'}" for field in decoded.fields]
    return "\n".join([*lines, f"  {decoded.verdict}"])


def _traceparent(text: str, now: float) -> Decoded:
    """By W3C Trace Context level 2, section 3.2."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        raise ValueError(f'"{_short(text)}" is no traceparent: 00-<32 hexadecimal digits>-<16 digits>-<2 digits> is expected')
    version, trace_hex, span_hex, flags_hex, rest = found.groups()
    if version == "ff":
        raise ValueError(f'"{_short(text)}" has version ff, which W3C Trace Context forbids')
    if version == "00" and rest is not None:
        raise ValueError(f'"{_short(text)}" is longer than a traceparent of version 00')
    for name, value in (("trace ID", trace_hex), ("span ID", span_hex)):
        if not value.strip("0"):
            raise ValueError(f'"{_short(text)}" has an all-zero {name}, which W3C Trace Context forbids')
    trace = unpack_trace_id(bytes.fromhex(trace_hex))
    structured, verdict = judge(trace, now)
    flags = int(flags_hex, 16)
    words = [word for bit, word in ((1, "sampled"), (2, "random")) if flags & bit] or ["not sampled"]
    fields = (
        Field("version", version),
        Field("trace ID", trace_hex),
        *_trace_fields(trace),
        Field("span ID", span_hex),
        *(Field(f"span {field.name}", field.value, field.note) for field in _span_fields(unpack_span_id(bytes.fromhex(span_hex)))),
        Field("flags", flags_hex, ", ".join(words)),
    )
    return Decoded(text, "traceparent", fields, structured, verdict)


def _trace_fields(trace: TraceIdentifier) -> tuple[Field, ...]:
    return (
        Field("host", str(trace.host), "or the hash of an IPv6 address"),
        Field("time", f"{datetime.fromtimestamp(trace.seconds, UTC):%Y-%m-%dT%H:%M:%SZ}", f"Unix {trace.seconds}"),
        Field("sequence", trace.sequence),
        Field("debug tag", f"{trace.tag:#04x}"),
        Field("pid", trace.pid),
    )


def _span_fields(span: SpanIdentifier) -> tuple[Field, ...]:
    return (
        Field("source", span.source.hex(), f"an address that ends in .{span.source[0]}.{span.source[1]}, if IPv4"),
        Field("destination", span.destination.hex(), f"an address that ends in .{span.destination[0]}.{span.destination[1]}, if IPv4"),
        Field("sequence", span.sequence),
    )


def _short(text: str) -> str:
    shown = "".join(one if one.isprintable() else "�" for one in text)
    return shown if len(shown) <= 80 else shown[:79] + "…"
