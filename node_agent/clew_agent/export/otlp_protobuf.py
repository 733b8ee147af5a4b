"""Spans as an OTLP request in Protobuf (opentelemetry-proto, ``trace/v1/trace.proto``), for the official exporters to send.

The exporters' own encoder makes a Protobuf object of every attribute: 124 us a span, four fifths of the agent's processor time.
Attributes repeat from span to span, so here each is encoded once and remembered. docs/decisions/006 has the figures. The exporters
keep all the rest: environment variables, TLS, compression, time limits and tries.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clew_agent import __version__
from clew_agent.export.otlp_json import SCOPE, span_flags
from clew_agent.model import AttributeValue, Span, SpanKind

_KINDS = {SpanKind.INTERNAL: b"\x30\x01", SpanKind.SERVER: b"\x30\x02", SpanKind.CLIENT: b"\x30\x03"}  # field 6
_TIMES = struct.Struct("<BQBQ")  # fields 7 and 8, each behind its tag
_FLAGS = struct.Struct("<HI")  # field 16, behind its tag of two bytes
_START, _END, _FLAGS_TAG = 0x39, 0x41, 0x0185
_UNSET = b"\x7a\x00"  # field 15: a Status of which nothing is set
_ERROR = b"\x18\x02"  # field 3 of Status: STATUS_CODE_ERROR
_REMEMBERED = 16384
_WORD = (1 << 64) - 1


def encode(spans: Sequence[Span]) -> ExportTraceServiceRequest:
    """The request of these spans, grouped by resource in the order of first appearance."""
    groups: dict[int, list[Span]] = {}
    for span in spans:
        groups.setdefault(id(span.resource), []).append(span)
    request = ExportTraceServiceRequest()
    request.ParseFromString(b"".join(_resource_spans(group) for group in groups.values()))
    return request


def _resource_spans(group: Sequence[Span]) -> bytes:
    resource = b"".join(_attributes(1, group[0].resource.items()))
    scope = _field(1, _field(1, SCOPE.encode()) + _field(2, __version__.encode()))
    return _field(1, _field(1, resource) + _field(2, scope + b"".join(_field(2, _span(span)) for span in group)))


def _span(span: Span) -> bytes:
    parts = [_field(1, span.trace_id), _field(2, span.span_id)]
    if span.parent_id is not None:
        parts.append(_field(4, span.parent_id))
    parts += (_name(span.name), _KINDS[span.kind], _TIMES.pack(_START, span.start_ns, _END, span.end_ns))
    parts += _attributes(9, span.attributes.items())
    parts.append(_UNSET if span.error is None else _field(15, (_field(2, span.error.encode()) if span.error else b"") + _ERROR))
    parts.append(_FLAGS.pack(_FLAGS_TAG, span_flags(span)))
    return b"".join(parts)


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


@lru_cache(_REMEMBERED)
def _name(name: str) -> bytes:
    return _field(5, name.encode())


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
