"""The Python twin of the head parser: it gives what the vectors say, and keeps the promises that make it a reference."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.truth import http1_strategies as strategies
from tests.truth.http1_twin import HEAD_MAX, Head, Result, parse_head
from tests.truth.http1_vectors import HeadCase, head_cases

CASES = head_cases()
ANY_HEAD = st.one_of(
    st.tuples(st.just(False), strategies.damaged(strategies.heads(response=False))),
    st.tuples(st.just(True), strategies.damaged(strategies.heads(response=True))),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_vector(case: HeadCase) -> None:
    assert parse_head(case.data, response=case.response) == case.expect


def test_vectors_are_many() -> None:
    assert len(CASES) >= 120


@given(st.binary(max_size=200), st.booleans())
def test_noise_is_never_a_head_without_its_start_line(data: bytes, response: bool) -> None:
    head = parse_head(data, response=response)
    assert head.result is not Result.COMPLETE or b"HTTP/1." in data


@settings(max_examples=40)
@given(ANY_HEAD)
def test_a_shorter_input_is_undecided_or_says_the_same(drawn: tuple[bool, bytes]) -> None:
    response, data = drawn
    whole = parse_head(data, response=response)
    for length in range(len(data)):
        part = parse_head(data[:length], response=response)
        ends_in_cr = data[length - 1 : length] == b"\r"  # taken for the blank line's, which more bytes may refute
        if part.result is Result.NOT_HTTP or (part.result is Result.COMPLETE and not ends_in_cr):
            assert whole == part


@settings(max_examples=40)
@given(ANY_HEAD, st.binary(max_size=20))
def test_what_follows_a_head_changes_nothing(drawn: tuple[bool, bytes], rest: bytes) -> None:
    response, data = drawn
    head = parse_head(data, response=response)
    if head.result is Result.COMPLETE and head.end <= len(data):
        assert parse_head(data[: head.end] + rest, response=response) == head


@settings(max_examples=40)
@given(ANY_HEAD)
def test_offsets_point_at_the_blank_line(drawn: tuple[bool, bytes]) -> None:
    response, data = drawn
    head = parse_head(data, response=response)
    if head.result is not Result.COMPLETE:
        assert head == Head(head.result)
        return
    assert data[head.insert_at : head.end] in (b"\r\n", b"\n", b"\r")
    assert data[head.insert_at - 1 : head.insert_at] == b"\n"


@settings(max_examples=40)
@given(strategies.heads(response=False))
def test_a_line_inserted_at_insert_at_is_read_as_a_field(data: bytes) -> None:
    before = parse_head(data, response=False)
    value = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    after = parse_head(data[: before.insert_at] + b"traceparent: " + value + b"\r\n" + data[before.insert_at :], response=False)
    assert before.result is Result.COMPLETE
    assert after.traceparents == before.traceparents + 1
    assert (after.flags, after.content_length, after.target_length) == (before.flags, before.content_length, before.target_length)


@given(st.integers(HEAD_MAX - 4, HEAD_MAX + 4))
def test_the_limit(end: int) -> None:
    start = b"GET / HTTP/1.1\r\nX: "
    data = start + b"a" * (end - len(start) - 4) + b"\r\n\r\n"
    assert len(data) == end
    assert parse_head(data, response=False).result is (Result.COMPLETE if end <= HEAD_MAX + 1 else Result.TOO_LONG)
