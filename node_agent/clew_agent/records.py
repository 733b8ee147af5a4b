"""Bytes of the ring buffer to typed values: the first stage of the pipeline.

The layouts come from ``bpf/records.h`` alone. A value class below names the members that user space uses; a class that names a
member which the header lacks, or an enum that differs from the header's, is refused when the decoder is made, that is at
start-up. Values are named tuples: immutable, and several times cheaper to make than frozen dataclasses, since one is made for
every request and every recorded kernel function.
"""

from __future__ import annotations

import enum
import operator
import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from clew_agent.bpf_files import bpf_source
from clew_agent.c_header import Header, HeaderError, Struct, read_header


class RecordKind(enum.IntEnum):
    """The first member of every record."""

    REQUEST = 1
    FUNCTION = 2


class Role(enum.IntEnum):
    """Which end of the connection the pod is."""

    SERVER = 1
    CLIENT = 2


class Outcome(enum.IntEnum):
    """How a request ended; the header's comments say what each means."""

    COMPLETE = 1
    CLOSED = 2
    TUNNEL = 3
    LOST = 4


class RecordError(ValueError):
    """Bytes that are no record of this agent's programs. The pipeline counts them and goes on."""


class RequestRecord(NamedTuple):
    """``struct request_record``: one finished request. Times are CLOCK_MONOTONIC nanoseconds, addresses 16 raw bytes."""

    role: int
    outcome: int
    pod: int
    start_ns: int
    end_ns: int
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    pid: int
    tid: int
    local_address: bytes
    remote_address: bytes
    local_port: int
    remote_port: int
    status: int
    trace_flags: int
    http_minor: int
    adopted: int
    method_length: int
    target_length: int
    comm: bytes
    target: bytes

    @property
    def method(self) -> bytes:
        """The request's method, as it was sent."""
        return self.target[: self.method_length]

    @property
    def path(self) -> bytes:
        """The request target (RFC 9112, 3.2) as it was sent, cut where the record ends."""
        return self.target[self.method_length + 1 : self.target_length]

    @property
    def thread_name(self) -> str:
        """The name of the thread, as far as the kernel keeps it (15 bytes)."""
        return self.comm.split(b"\0", 1)[0].decode("utf-8", "replace")


class FunctionRecord(NamedTuple):
    """``struct function_record`` and the argument bytes that follow it: one finished call of a kernel function."""

    function: int
    pod: int
    start_ns: int
    end_ns: int
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    request_id: bytes
    returned: int
    pid: int
    tid: int
    depth: int
    arguments_length: int
    arguments: bytes = b""


Record = RequestRecord | FunctionRecord
Decode = Callable[["bytes | memoryview"], Record]
_ROLES = frozenset(Role)
_OUTCOMES = frozenset(Outcome)
_KIND = struct.Struct("=H")


def read_records_header() -> Header:
    """The layouts of ``bpf/records.h``. Raises ``HeaderError`` and ``FileNotFoundError``."""
    path = bpf_source("records.h")
    return read_header(path.read_text(encoding="utf-8"), path.name)


def make_decoder(header: Header) -> Decode:
    """A function from the bytes of one record to its value, which raises ``RecordError`` alone.

    Raises ``HeaderError`` when the header and the classes of this module do not fit together.
    """
    for title, values, prefix in (("record_kind", RecordKind, "RECORD_"), ("role", Role, "ROLE_"), ("outcome", Outcome, "OUTCOME_")):
        _check_enum(header, title, values, prefix)
    decode_request = _request_decoder(_layout(header, "request_record"))
    decode_function = _function_decoder(_layout(header, "function_record"))

    def decode(data: bytes | memoryview) -> Record:
        if len(data) < _KIND.size:
            raise RecordError(f"a record of {len(data)} bytes holds no kind")
        kind: int = _KIND.unpack_from(data)[0]
        if kind == RecordKind.REQUEST:
            return decode_request(data)
        if kind == RecordKind.FUNCTION:
            return decode_function(data)
        raise RecordError(f"unknown record kind {kind} of {len(data)} bytes")

    return decode


def decode_all(decode: Decode, raw: Iterable[bytes | memoryview]) -> tuple[list[Record], int]:
    """Decode a batch; the second value counts the records that could not be decoded and were left out."""
    records: list[Record] = []
    failed = 0
    for data in raw:
        try:
            records.append(decode(data))
        except RecordError:
            failed += 1
    return records, failed


def _request_decoder(layout: Struct) -> Callable[[bytes | memoryview], RequestRecord]:
    unpack, size = struct.Struct(layout.format).unpack, layout.size
    pick: Callable[[Any], Any] = operator.itemgetter(*[layout.index(name) for name in RequestRecord._fields])
    capacity = layout.members[layout.index("target")].size

    def decode(data: bytes | memoryview) -> RequestRecord:
        if len(data) != size:
            raise RecordError(f"a request record has {size} bytes, not {len(data)}")
        record = RequestRecord._make(pick(unpack(data)))
        if record.role not in _ROLES:
            raise RecordError(f"unknown role {record.role}")
        if record.outcome not in _OUTCOMES:
            raise RecordError(f"unknown outcome {record.outcome}")
        if record.target_length > capacity or record.method_length > record.target_length:
            raise RecordError(f"method of {record.method_length} bytes in a target of {record.target_length}, of {capacity} at most")
        _check_span(record)
        return record

    return decode


def _function_decoder(layout: Struct) -> Callable[[bytes | memoryview], FunctionRecord]:
    unpack, size = struct.Struct(layout.format).unpack_from, layout.size
    pick: Callable[[Any], Any] = operator.itemgetter(*[layout.index(name) for name in FunctionRecord._fields if name != "arguments"])

    def decode(data: bytes | memoryview) -> FunctionRecord:
        if len(data) < size:
            raise RecordError(f"a function record has {size} bytes at least, not {len(data)}")
        values = pick(unpack(data))
        record = FunctionRecord(*values)
        end = size + record.arguments_length
        if len(data) < end:
            raise RecordError(f"{record.arguments_length} bytes of arguments announced, {len(data) - size} there")
        _check_span(record)
        return record._replace(arguments=bytes(data[size:end])) if record.arguments_length else record

    return decode


def _check_span(record: Record) -> None:
    if not any(record.trace_id) or not any(record.span_id):
        raise RecordError("a record without a trace id or a span id")
    if record.end_ns < record.start_ns:
        raise RecordError(f"a record that ends {record.start_ns - record.end_ns} ns before it starts")


def _layout(header: Header, name: str) -> Struct:
    if name not in header.structs:
        raise HeaderError(f"records.h declares no struct {name}")
    return header.structs[name]


def _check_enum(header: Header, title: str, values: type[enum.IntEnum], prefix: str) -> None:
    expected = {prefix + member.name: member.value for member in values}
    found = dict(header.enums.get(title, {}))
    if found != expected:
        raise HeaderError(f"records.h: enum {title} is {found}, and clew_agent.records knows {expected}")
