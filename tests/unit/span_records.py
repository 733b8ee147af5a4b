"""Records made by hand, for the tests of what becomes of them."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from clew_agent.records import FunctionRecord, Record, Request, RequestRecord, make_decoder, read_records_header
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
        "cgroup": 0,
        "comm": b"app".ljust(16, b"\0"),
        "target": line[:256],
        "truncated": len(line) >= 256,
    }
    chosen = {**defaults, **values}
    said = {name: chosen.pop(name) for name in Request._fields}
    return RequestRecord(request=Request(**said), **chosen)  # type: ignore[arg-type]  # each member's type is that of its default


def said(role: int = 1, line: bytes = b"GET /", **values: int | bytes) -> Request:
    return request(role, line, **values).request


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
        "cgroup": 0,
        "arguments_length": len(bytes(values.get("arguments", b""))),
    }
    return FunctionRecord(**{**defaults, **values})  # type: ignore[arg-type]  # each member's type is that of its default


def raw(record: Record) -> bytes:
    """The bytes that the kernel would have written."""
    if isinstance(record, FunctionRecord):
        return _packed("function_record", record._asdict() | {"kind": 2}) + record.arguments
    said = record.request._asdict()
    packed_record = _packed("request_record", record._asdict() | said | {"kind": 1, "target_length": len(record.request.target)})
    return packed_record[: len(packed_record) - 256 + len(record.request.target)]


def _packed(name: str, values: dict[str, int | bytes]) -> bytes:
    layout = HEADER.structs[name]
    return struct.pack(layout.format, *(values.get(member.name, 0) for member in layout.members))
