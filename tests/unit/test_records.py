"""The header is the only declaration of the records: held to the C compiler's view of it, and to hostile bytes."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from clew_agent.bpf_files import bpf_source
from clew_agent.c_header import HeaderError, read_header
from clew_agent.records import (
    FunctionRecord,
    RecordError,
    Request,
    RequestRecord,
    decode_all,
    make_decoder,
    read_records_header,
)
from hypothesis import given
from hypothesis import strategies as st

HEADER = read_records_header()
DECODE = make_decoder(HEADER)
TEXT = bpf_source("records.h").read_text()
SIZE = HEADER.structs["request_record"].size
NUMBERS = {"u8": 8, "u16": 16, "u32": 32, "u64": 64}


def member_values(name: str) -> st.SearchStrategy[dict[str, int | bytes]]:
    def one(kind: str, count: int | None) -> st.SearchStrategy[int | bytes]:
        if count is not None:
            return st.binary(min_size=count, max_size=count)
        return st.integers(-(1 << 63), (1 << 63) - 1) if kind == "s64" else st.integers(0, (1 << NUMBERS[kind]) - 1)

    return st.fixed_dictionaries({member.name: one(member.type, member.count) for member in HEADER.structs[name].members})


def pack(name: str, values: dict[str, int | bytes]) -> bytes:
    layout = HEADER.structs[name]
    return struct.pack(layout.format, *(values[member.name] for member in layout.members))


def blank(name: str, **values: int | bytes) -> bytes:
    every: dict[str, int | bytes] = {m.name: 0 if m.count is None else bytes(m.count) for m in HEADER.structs[name].members}
    return pack(name, {**every, "trace_id": b"t" * 16, "span_id": b"s" * 8, **values})


def cut(data: bytes, length: int = 6) -> bytes:
    """A request's record ends behind its target."""
    return data[: SIZE - 256 + length]


REQUEST: dict[str, int | bytes] = {"kind": 1, "role": 1, "outcome": 1, "method_length": 3, "target_length": 6, "target": b"GET /x"}


def test_layout_is_the_compilers(tmp_path: Path) -> None:
    lines = []
    for layout in HEADER.structs.values():
        lines.append(f'printf("{layout.name} %zu\\n", sizeof(struct {layout.name}));')
        for member in layout.members:
            both = f"offsetof(struct {layout.name}, {member.name}), sizeof(((struct {layout.name} *)0)->{member.name})"
            lines.append(f'printf("{layout.name}.{member.name} %zu %zu\\n", {both});')
    for constants in HEADER.enums.values():
        lines.extend(f'printf("{name} %d\\n", {name});' for name in constants)
    types = "typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64; typedef int64_t s64;"
    program = f"#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n{types}\n{TEXT}\nint main(void) {{ {''.join(lines)} }}\n"
    (tmp_path / "layout.c").write_text(program)
    subprocess.run(["gcc", "-o", tmp_path / "layout", tmp_path / "layout.c"], check=True)
    printed = subprocess.run([tmp_path / "layout"], check=True, capture_output=True, text=True).stdout.splitlines()
    expected = []
    for layout in HEADER.structs.values():
        expected.append(f"{layout.name} {layout.size}")
        expected.extend(f"{layout.name}.{member.name} {member.offset} {member.size}" for member in layout.members)
    for constants in HEADER.enums.values():
        expected.extend(f"{name} {value}" for name, value in constants.items())
    assert printed == expected
    assert [struct.calcsize(layout.format) for layout in HEADER.structs.values()] == [s.size for s in HEADER.structs.values()]


@given(member_values("request_record"))
def test_request_round_trip(values: dict[str, int | bytes]) -> None:
    values |= {"kind": 1, "role": 2, "outcome": 3, "trace_id": b"t" * 16, "span_id": b"s" * 8, "start_ns": 5, "end_ns": 9}
    values |= {"method_length": 4, "target_length": 9, "target": b"POST /abc".ljust(256, b"\0")}
    record = DECODE(cut(pack("request_record", values), 9))
    assert isinstance(record, RequestRecord)
    said = record._asdict() | record.request._asdict()
    expected = values | {"request": record.request, "target": b"POST /abc", "truncated": False}
    assert said == {name: expected[name] for name in (*RequestRecord._fields, *Request._fields)}
    assert (record.request.method, record.request.path) == (b"POST", b"/abc")


@given(st.lists(st.tuples(member_values("request_record"), st.integers(0, 20)), min_size=2, max_size=4))
def test_what_is_remembered_of_a_request_is_what_its_bytes_say(drawn: list[tuple[dict[str, int | bytes], int]]) -> None:
    for values, length in (*drawn, *drawn):
        values |= {"kind": 1, "role": 1, "outcome": 1, "trace_id": b"t" * 16, "span_id": b"s" * 8, "start_ns": 5, "end_ns": 9}
        values |= {"method_length": 0, "target_length": length}
        record = DECODE(cut(pack("request_record", values), length))
        assert isinstance(record, RequestRecord)
        assert (record.request.pid, record.request.status, record.parent_id) == (values["pid"], values["status"], values["parent_id"])
        assert record.request.target == bytes(values["target"])[:length]


@given(member_values("function_record"), st.binary(max_size=40), st.binary(max_size=8))
def test_function_round_trip(values: dict[str, int | bytes], arguments: bytes, padding: bytes) -> None:
    values |= {"kind": 2, "trace_id": b"t" * 16, "span_id": b"s" * 8, "start_ns": 5, "end_ns": 9}
    values["arguments_length"] = len(arguments)
    record = DECODE(pack("function_record", values) + arguments + padding)
    assert isinstance(record, FunctionRecord)
    assert record._asdict() == {name: values[name] for name in FunctionRecord._fields if name != "arguments"} | {"arguments": arguments}


@given(st.binary(max_size=600) | st.builds(lambda kind, rest: struct.pack("=H", kind) + rest, st.integers(1, 2), st.binary(max_size=500)))
def test_any_bytes_are_a_record_or_counted(data: bytes) -> None:
    records, failed = decode_all(DECODE, [data])
    assert len(records) + failed == 1


@given(member_values("request_record"))
def test_any_request_members_are_a_record_or_counted(values: dict[str, int | bytes]) -> None:
    records, failed = decode_all(DECODE, [pack("request_record", values | {"kind": 1, "target_length": 256})])
    assert len(records) + failed == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\1", "a record of 1 bytes holds no kind"),
        (struct.pack("=H", 9) + bytes(6), "unknown record kind 9 of 8 bytes"),
        (cut(blank("request_record", **REQUEST), -1), f"a request record has {SIZE - 256} to {SIZE} bytes, not {SIZE - 257}"),
        (blank("request_record", **REQUEST) + b"x", f"a request record has {SIZE - 256} to {SIZE} bytes, not {SIZE + 1}"),
        (blank("request_record", **REQUEST)[:55], "a request record of 55 bytes, which holds no identifiers"),
        (blank("function_record", kind=2)[:-8], "a function record has 88 bytes at least, not 80"),
        (blank("function_record", kind=2, arguments_length=9) + bytes(8), "9 bytes of arguments announced, 8 there"),
        (cut(blank("request_record", **{**REQUEST, "role": 7})), "unknown role 7"),
        (cut(blank("request_record", **{**REQUEST, "outcome": 0})), "unknown outcome 0"),
        (blank("request_record", **{**REQUEST, "target_length": 257}), "method of 3 bytes in a target of 257, of which 256 are there"),
        (cut(blank("request_record", **{**REQUEST, "method_length": 7})), "method of 7 bytes in a target of 6, of which 6 are there"),
        (cut(blank("request_record", **{**REQUEST, "span_id": bytes(8)})), "a record without a trace id or a span id"),
        (cut(blank("request_record", **{**REQUEST, "start_ns": 9, "end_ns": 4})), "a record that ends 5 ns before it starts"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        DECODE(data)
    assert str(caught.value) == message


def test_thread_name_ends_at_nul() -> None:
    record = DECODE(cut(blank("request_record", **{**REQUEST, "comm": b"gunicorn\xff\0junk"})))
    assert isinstance(record, RequestRecord)
    assert record.request.thread_name == "gunicorn�"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("u8 role;", "u32 role;", "records.h: struct request_record: member role at offset 2 would need padding before it"),
        (
            "u8 trace_id[16];",
            "u16 trace_id[8];",
            "records.h: struct request_record: member trace_id is an array of u16; only arrays of u8 are allowed",
        ),
        ("ROLE_CLIENT = 2", "ROLE_CLIENT", "records.h: enum role: every constant needs an explicit value, which 'ROLE_CLIENT' lacks"),
        ("ROLE_CLIENT = 2", "ROLE_CLIENT = 1", "records.h: enum role: two constants share a value"),
        ("ROLE_CLIENT = 2", "ROLE_CLIENT = A", "records.h: enum role: ROLE_CLIENT = A is no plain decimal number"),
        (
            "u8 target[TARGET_MAX]",
            "u8 target[WHAT]",
            "records.h: struct request_record: the length WHAT of member target is neither a positive number nor a #define before it",
        ),
        (
            "u64 start_ns;",
            "int start_ns;",
            "records.h: struct request_record: member start_ns has the type int; allowed are u8, u16, u32, u64, s64 and arrays of u8",
        ),
        ("u8 adopted;", "u8 http_minor;", "records.h: struct request_record: member http_minor is declared twice"),
        ("u8 adopted;", "u8 a : 3;", "records.h: struct request_record: cannot read the member 'u8 a : 3'"),
        (
            "struct request_record {",
            "union request_record {",
            "records.h: only #define, enum and struct are understood, not 'union request_record {'",
        ),
        (
            "\tu32 cgroup;",
            "",
            f"records.h: struct request_record has {SIZE - 4} bytes, which is no multiple of eight: add a reserved member",
        ),
    ],
)
def test_a_header_that_breaks_its_rules_is_refused(old: str, new: str, message: str) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    with pytest.raises(HeaderError) as caught:
        read_header(text, "records.h")
    assert str(caught.value) == message


def test_a_header_that_differs_from_the_values_is_refused() -> None:
    with pytest.raises(HeaderError, match=r"enum outcome is .* and clew_agent.records knows"):
        make_decoder(read_header(TEXT.replace("OUTCOME_LOST = 4", "OUTCOME_LOST = 5"), "records.h"))
    with pytest.raises(HeaderError, match="struct request_record has no member adopted"):
        make_decoder(read_header(TEXT.replace("u8 adopted;", "u8 taken;"), "records.h"))
    with pytest.raises(HeaderError, match=r"in struct request_record, start_ns, end_ns, .* must stand together in this order"):
        make_decoder(read_header(TEXT.replace("u8 span_id[8];", "u64 between;\n\tu8 span_id[8];", 1), "records.h"))
    with pytest.raises(HeaderError, match="declares no struct function_record"):
        make_decoder(read_header(TEXT.replace("struct function_record", "struct call_record"), "records.h"))


def test_a_missing_source_names_where_it_was_sought(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.h is not in .*one or .*two: is the package installed whole\?"):
        bpf_source("nothing.h", (tmp_path / "one", tmp_path / "two"))


def test_comments_of_constants_are_kept_as_help() -> None:
    header = read_header("enum counter {\n\tCOUNTER_RING_FULL = 1, /* records lost:\n\t   ring full */\n\tCOUNTER_X = 2 /* x */\n};", "c.h")
    assert header.enums == {"counter": {"COUNTER_RING_FULL": 1, "COUNTER_X": 2}}
    assert header.help == {"COUNTER_RING_FULL": "records lost: ring full", "COUNTER_X": "x"}
