"""Spans as an OTLP request in Protobuf (opentelemetry-proto, ``trace/v1/trace.proto``), for the official exporters to send.

The exporters' own encoder makes a Protobuf object of every attribute: 124 us a span, four fifths of the agent's processor time.
Here what spans share is encoded once, and so is each attribute, since they repeat. docs/decisions/006 has the figures. The exporters
keep all the rest: environment variables, TLS, compression, time limits and tries.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

from clew_agent import __version__
from clew_agent.export.otlp_json import SCOPE, by_resource, span_flags
from clew_agent.model import AttributeValue, Described, Span, SpanKind

_KINDS = {SpanKind.INTERNAL: b"\x30\x01", SpanKind.SERVER: b"\x30\x02", SpanKind.CLIENT: b"\x30\x03"}  # field 6
_TRACE_ID, _SPAN_ID, _PARENT_ID = b"\x0a\x10", b"\x12\x08", b"\x22\x08"  # fields 1, 2 and 4, and their lengths
_TIMES = struct.Struct("<BQBQ")  # fields 7 and 8, each behind its tag
_FLAGS = struct.Struct("<HI")  # field 16, behind its tag of two bytes
_START, _END, _FLAGS_TAG = 0x39, 0x41, 0x0185
_ERROR = b"\x18\x02"  # field 3 of Status: STATUS_CODE_ERROR
_REMEMBERED = 16384
# What Described.encoded keeps for this encoder: a span up to its trace ID and what follows its times, without and with a parent.
_ROOT, _ROOT_END, _CHILD, _CHILD_END = "otlp root", "otlp root end", "otlp child", "otlp child end"
_WORD = (1 << 64) - 1


def encode(spans: Sequence[Span]) -> bytes:
    """The ``ExportTraceServiceRequest`` of these spans, grouped by resource in the order of first appearance."""
    return b"".join(_resource_spans(group) for group in by_resource(spans))


def _resource_spans(group: Sequence[Span]) -> bytes:
    resource = b"".join(_attributes(1, group[0].described.resource.items()))
    scope = _field(1, _field(1, SCOPE.encode()) + _field(2, __version__.encode()))
    return _field(1, _field(1, resource) + _field(2, scope + b"".join(map(_span, group))))


def _span(span: Span) -> bytes:
    trace_id, span_id, parent_id, start_ns, end_ns, described = span
    encoded = described.encoded
    if _ROOT not in encoded:
        _remember(described)
    times = _TIMES.pack(_START, start_ns, _END, end_ns)
    if parent_id is None:
        return b"".join((encoded[_ROOT], trace_id, _SPAN_ID, span_id, times, encoded[_ROOT_END]))
    return b"".join((encoded[_CHILD], trace_id, _SPAN_ID, span_id, _PARENT_ID, parent_id, times, encoded[_CHILD_END]))


def _remember(described: Described) -> None:
    """Encode all of a span but its identifiers and times, which are of fixed length."""
    status = b"" if described.error is None else (_field(2, described.error.encode()) if described.error else b"") + _ERROR
    said = b"".join(
        (_field(5, described.name.encode()), _KINDS[described.kind], *_attributes(9, described.attributes.items()), _field(15, status))
    )
    size = len(_TRACE_ID) + 16 + len(_SPAN_ID) + 8 + _TIMES.size + len(said) + _FLAGS.size
    for begin, end, more in ((_ROOT, _ROOT_END, 0), (_CHILD, _CHILD_END, len(_PARENT_ID) + 8)):
        described.encoded[begin] = b"\x12" + _varint(size + more) + _TRACE_ID
        described.encoded[end] = said + _FLAGS.pack(_FLAGS_TAG, span_flags(described, bool(more)))


def _attributes(number: int, values: Iterable[tuple[str, AttributeValue]]) -> list[bytes]:
    return [
        _remembered(number, key, value) if isinstance(value, str | int | float) else _key_value(number, key, value) for key, value in values
    ]


def _key_value(number: int, key: str, value: AttributeValue) -> bytes:
    return _field(number, _field(1, key.encode()) + _field(2, _any_value(value)))


_remembered = lru_cache(_REMEMBERED, typed=True)(_key_value)


def _any_value(value: AttributeValue) -> bytes:
    if isinstance(value, str):
        return _field(1, value.encode())
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + _varint(value & _WORD)
    if isinstance(value, float):
        return b"\x21" + struct.pack("<d", value)
    return _field(5, b"".join(_field(1, _any_value(item)) for item in value))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message: tag, length, content (Protobuf's wire type 2)."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _BYTES[value]
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


_BYTES = [bytes([value]) for value in range(0x80)]
