"""The Structured layout, byte by byte."""

import re
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from clew_crds.identifiers import STRUCTURED_TAG, SpanIdentifier, TraceIdentifier, unpack_span_id, unpack_trace_id
from hypothesis import given
from hypothesis import strategies as st


def test_trace_id_layout() -> None:
    identifier = TraceIdentifier(IPv4Address("10.77.0.3"), 0x65A8F1E0, 0x010203, STRUCTURED_TAG, 1200)
    assert identifier.pack().hex() == "0a4d000365a8f1e0010203c1000004b0"
    assert identifier.tagged


def test_span_id_layout() -> None:
    assert SpanIdentifier(b"\x00\x03", b"\x00\x04", 7).pack().hex() == "0003000400000007"


@given(st.binary(min_size=16, max_size=16))
def test_trace_id_round_trip(raw: bytes) -> None:
    assert unpack_trace_id(raw).pack() == raw


@given(st.binary(min_size=8, max_size=8))
def test_span_id_round_trip(raw: bytes) -> None:
    assert unpack_span_id(raw).pack() == raw


def test_other_lengths() -> None:
    with pytest.raises(ValueError, match="16 bytes, not 15"):
        unpack_trace_id(bytes(15))
    with pytest.raises(ValueError, match="8 bytes, not 16"):
        unpack_span_id(bytes(16))


def test_the_kernel_programs_write_the_same_tag() -> None:
    [tag] = re.findall(r"#define DEBUG_TAG (0x[0-9a-f]+)", (Path(__file__).parents[2] / "bpf" / "context.h").read_text())
    assert int(tag, 16) == STRUCTURED_TAG
