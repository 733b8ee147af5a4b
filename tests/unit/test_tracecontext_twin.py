"""The twin's reading of single Trace Context values; the vectors test them inside heads."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.truth import http1_strategies as strategies
from tests.truth.tracecontext_twin import TRACESTATE_MAX, TraceParent, combine_tracestate, parse_traceparent


@given(st.binary(min_size=16, max_size=16).filter(any), st.binary(min_size=8, max_size=8).filter(any), st.integers(0, 255))
def test_what_is_written_is_read(trace_id: bytes, parent_id: bytes, flags: int) -> None:
    value = f"00-{trace_id.hex()}-{parent_id.hex()}-{flags:02x}".encode()
    assert parse_traceparent(value) == TraceParent(trace_id, parent_id, flags & 3)


@given(strategies.traceparents())
def test_the_grammar_decides(value: bytes) -> None:
    grammar = re.compile(
        rb"(?!ff)(?:00(?=.{53}\Z)|(?!00)[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?", re.DOTALL
    )
    assert (parse_traceparent(value) is not None) == (grammar.fullmatch(value) is not None)


def test_no_other_single_byte_will_do() -> None:
    value = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for at in range(len(value)):
        wanted = b"-" if at in (2, 35, 52) else b"0123456789abcdef"
        accepted = {byte for byte in range(256) if parse_traceparent(value[:at] + bytes([byte]) + value[at + 1 :]) is not None}
        assert accepted == set(wanted)  # in the version too: another one is a future one


@settings(max_examples=40)
@given(st.lists(strategies.tracestates(), max_size=9))
def test_tracestate_is_a_prefix_of_whole_members(values: list[bytes]) -> None:
    combined = combine_tracestate(values)
    whole = b",".join(value for value in (value.lstrip(b" \t") for value in values) if value)
    assert len(combined) <= TRACESTATE_MAX
    assert whole.startswith(combined)
    assert combined in (b"", whole) or whole[len(combined) : len(combined) + 1] == b","
    if combined not in (b"", whole):
        rest = whole[len(combined) + 1 :].split(b",")[0]
        assert len(combined) + 1 + len(rest) > TRACESTATE_MAX
