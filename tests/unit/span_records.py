"""Records made by hand, for the tests of what becomes of them."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from clew_agent.records import FunctionRecord, Record, RequestRecord, make_decoder, read_records_header
from clew_agent.spans.addresses import packed

HEADER = read_records_header()
DECODE = make_decoder(HEADER)
TRACE = bytes(range(1, 17))
PARENT = b"parentid"
SERVER = b"serverid"
CLIENT = b"clientid"


def address(text: str) -> bytes:
    return packed(ip_address(text))


def request(role: int = 1, line: bytes = b"GET /", **values: int | bytes) -> RequestRecord:
    method, _, _ = line.partition(b" ")
    defaults: dict[str, int | bytes] = {
        "role": role,
        "outcome": 1,
        "pod": 1,
        "start_ns": 1_000,
        "end_ns": 2_000,
        "trace_id": TRACE,
        "span_id": SERVER if role == 1 else CLIENT,
        "parent_id": bytes(8),
        "pid": 41,
        "tid": 42,
        "local_address": address("10.0.0.1"),
        "remote_address": address("10.0.0.2"),
        "local_port": 8080,
        "remote_port": 40_000,
        "status": 200,
        "trace_flags": 1,
        "http_minor": 1,
        "adopted": 0,
        "method_length": len(method),
        "target_length": min(len(line), 256),
        "comm": b"app".ljust(16, b"\0"),
        "target": line[:256].ljust(256, b"\0"),
    }
    return RequestRecord(**{**defaults, **values})  # type: ignore[arg-type]  # each member's type is that of its default


def function(**values: int | bytes) -> FunctionRecord:
    defaults: dict[str, int | bytes] = {
        "function": 0,
        "pod": 1,
        "start_ns": 1_200,
        "end_ns": 1_300,
        "trace_id": TRACE,
        "span_id": b"function",
        "parent_id": SERVER,
        "request_id": SERVER,
        "returned": 0,
        "pid": 41,
        "tid": 42,
        "depth": 0,
        "arguments_length": len(bytes(values.get("arguments", b""))),
    }
    return FunctionRecord(**{**defaults, **values})  # type: ignore[arg-type]  # each member's type is that of its default


def raw(record: Record) -> bytes:
    """The bytes that the kernel would have written."""
    layout = HEADER.structs["request_record" if isinstance(record, RequestRecord) else "function_record"]
    values = record._asdict() | {"kind": 1 if isinstance(record, RequestRecord) else 2, "reserved": 0}
    return struct.pack(layout.format, *(values[member.name] for member in layout.members)) + getattr(record, "arguments", b"")
