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
from functools import lru_cache, partial
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


class Request(NamedTuple):
    """What ``struct request_record`` says besides when and who: over a kept connection, one request is like the next.

    Addresses are 16 raw bytes.
    """

    role: int
    outcome: int
    pod: int
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
    cgroup: int
    comm: bytes
    target: bytes
    truncated: bool

    @property
    def method(self) -> bytes:
        """The request's method, as it was sent."""
        return self.target[: self.method_length]

    @property
    def path(self) -> bytes:
        """The request target (RFC 9112, 3.2) as it was sent, cut where the record ends."""
        return self.target[self.method_length + 1 :]

    @property
    def thread_name(self) -> str:
        """The name of the thread, as far as the kernel keeps it (15 bytes)."""
        return self.comm.split(b"\0", 1)[0].decode("utf-8", "replace")


class RequestRecord(NamedTuple):
    """``struct request_record``: one finished request. Times are CLOCK_MONOTONIC nanoseconds."""

    start_ns: int
    end_ns: int
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    request: Request


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
    cgroup: int
    arguments_length: int
    arguments: bytes = b""


Record = RequestRecord | FunctionRecord
Decode = Callable[[bytes], Record]
_ROLES = frozenset(Role)
_OUTCOMES = frozenset(Outcome)
_KIND = struct.Struct("=H")
_MOMENT = RequestRecord._fields[:-1]
_NO_TRACE_ID, _NO_SPAN_ID = bytes(16), bytes(8)
_REMEMBERED = 4096


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

    decoders: dict[bytes, Callable[[bytes], Record]] = {
        _KIND.pack(RecordKind.REQUEST): decode_request,
        _KIND.pack(RecordKind.FUNCTION): decode_function,
    }

    def decode(data: bytes) -> Record:
        chosen = decoders.get(data[: _KIND.size])
        if chosen is not None:
            return chosen(data)
        if len(data) < _KIND.size:
            raise RecordError(f"a record of {len(data)} bytes holds no kind")
        raise RecordError(f"unknown record kind {_KIND.unpack_from(data)[0]} of {len(data)} bytes")

    return decode


def decode_all(decode: Decode, raw: Iterable[bytes]) -> tuple[list[Record], int]:
    """Decode a batch; the second value counts the records that could not be decoded and were left out."""
    records: list[Record] = []
    failed = 0
    for data in raw:
        try:
            records.append(decode(data))
        except RecordError:
            failed += 1
    return records, failed


def _request_decoder(layout: Struct) -> Callable[[bytes], RequestRecord]:
    """What a record says besides its moment repeats: it is looked up by its bytes, and read only where they are new."""
    moment, begin = _moment(layout)
    unpack, end = moment.unpack_from, begin + moment.size
    # As RequestRecord(…), without the function in Python that a named tuple's class calls: a third of the time.
    make: Callable[[tuple[Any, ...]], RequestRecord] = partial(tuple.__new__, RequestRecord)
    describe = lru_cache(_REMEMBERED)(_description_decoder(layout, begin, end))

    def decode(data: bytes) -> RequestRecord:
        if len(data) < end:
            raise RecordError(f"a request record of {len(data)} bytes, which holds no identifiers")
        moment = unpack(data, begin)
        start_ns, end_ns, trace_id, span_id, _ = moment
        # Asked here, to spare most records the call that says what is wrong.
        if end_ns < start_ns or trace_id == _NO_TRACE_ID or span_id == _NO_SPAN_ID:
            _check_span(start_ns, end_ns, trace_id, span_id)
        return make((*moment, describe(data[:begin] + data[end:])))

    return decode


def _moment(layout: Struct) -> tuple[struct.Struct, int]:
    """How to read when and who at once, and where. Raises ``HeaderError`` when these members do not stand together."""
    first = layout.index(_MOMENT[0])
    members = layout.members[first : first + len(_MOMENT)]
    if tuple(member.name for member in members) != _MOMENT:
        raise HeaderError(f"records.h: in struct {layout.name}, {', '.join(_MOMENT)} must stand together in this order")
    formats = {None: "Q"} | {member.count: f"{member.count}s" for member in members if member.count}
    return struct.Struct("=" + "".join(formats[member.count] for member in members)), members[0].offset


def _description_decoder(layout: Struct, begin: int, end: int) -> Callable[[bytes], Request]:
    """A function from a record's bytes without those from ``begin`` to ``end``."""
    unpack, target = struct.Struct(layout.format).unpack, layout.members[layout.index("target")]
    pick: Callable[[Any], Any] = operator.itemgetter(*[layout.index(name) for name in Request._fields if name != "truncated"])
    length = layout.index("target_length")

    def decode(data: bytes) -> Request:
        have = len(data) + end - begin - target.offset
        if not 0 <= have <= target.size:
            raise RecordError(f"a request record has {target.offset} to {layout.size} bytes, not {have + target.offset}")
        values = unpack((data[:begin] + bytes(end - begin) + data[begin:]).ljust(layout.size, b"\0"))
        request = Request._make((*pick(values), have == target.size))
        if request.role not in _ROLES:
            raise RecordError(f"unknown role {request.role}")
        if request.outcome not in _OUTCOMES:
            raise RecordError(f"unknown outcome {request.outcome}")
        if values[length] != have or request.method_length > have:
            raise RecordError(f"method of {request.method_length} bytes in a target of {values[length]}, of which {have} are there")
        return request._replace(target=request.target[:have])

    return decode


def _function_decoder(layout: Struct) -> Callable[[bytes], FunctionRecord]:
    unpack, size = struct.Struct(layout.format).unpack_from, layout.size
    pick: Callable[[Any], Any] = operator.itemgetter(*[layout.index(name) for name in FunctionRecord._fields if name != "arguments"])

    def decode(data: bytes) -> FunctionRecord:
        if len(data) < size:
            raise RecordError(f"a function record has {size} bytes at least, not {len(data)}")
        values = pick(unpack(data))
        record = FunctionRecord(*values)
        end = size + record.arguments_length
        if len(data) < end:
            raise RecordError(f"{record.arguments_length} bytes of arguments announced, {len(data) - size} there")
        _check_span(record.start_ns, record.end_ns, record.trace_id, record.span_id)
        return record._replace(arguments=data[size:end]) if record.arguments_length else record

    return decode


def _check_span(start_ns: int, end_ns: int, trace_id: bytes, span_id: bytes) -> None:
    if trace_id == _NO_TRACE_ID or span_id == _NO_SPAN_ID:
        raise RecordError("a record without a trace id or a span id")
    if end_ns < start_ns:
        raise RecordError(f"a record that ends {start_ns - end_ns} ns before it starts")


def _layout(header: Header, name: str) -> Struct:
    if name not in header.structs:
        raise HeaderError(f"records.h declares no struct {name}")
    return header.structs[name]


def _check_enum(header: Header, title: str, values: type[enum.IntEnum], prefix: str) -> None:
    expected = {prefix + member.name: member.value for member in values}
    found = dict(header.enums.get(title, {}))
    if found != expected:
        raise HeaderError(f"records.h: enum {title} is {found}, and clew_agent.records knows {expected}")
