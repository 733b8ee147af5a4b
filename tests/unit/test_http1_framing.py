"""The twin of the framing: vectors of whole exchanges, and streams cut anywhere."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.truth import http1_strategies as strategies
from tests.truth.framing_twin import Connection, Framer, Message, State
from tests.truth.http1_vectors import DirectionExpectation, FramingCase, framing_cases

CASES = framing_cases()


def _run(case: FramingCase, piece: int) -> Connection:
    """Play the exchange, each write cut into pieces of at most `piece` bytes."""
    connection = Connection()
    for side, data in case.exchange:
        feed = {"client": connection.client, "server": connection.server}[side]
        for at in range(0, len(data), piece):
            feed(data[at : at + piece])
    if case.close:
        connection.responses.close()
    return connection


def _check(framer: Framer, expect: DirectionExpectation) -> None:
    wanted = [
        Message(
            start=message["start"],
            head_end=message["head_end"],
            insert_at=message["insert_at"],
            method=message["method"].encode(),
            status=message.get("status", 0),
            interim=message.get("interim", False),
            end=message.get("end"),
        )
        for message in expect.messages
    ]
    assert framer.messages == wanted
    assert (framer.state.value, framer.lost_at) == (expect.state, expect.lost_at)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_vector(case: FramingCase) -> None:
    for piece in (1, 2, 7, 1 << 20):
        connection = _run(case, piece)
        _check(connection.requests, case.requests)
        _check(connection.responses, case.responses)


def _follow(stream: strategies.Stream, writes: list[bytes], *, response: bool) -> Framer:
    framer = Framer(response=response)
    framer.asked.extend(b"GET" for _ in stream.messages)
    for write in writes:
        framer.feed(write)
    return framer


@settings(max_examples=40)
@given(st.data(), st.booleans())
def test_streams_are_framed_however_they_are_cut(data: st.DataObject, response: bool) -> None:
    stream = data.draw(strategies.streams(response=response))
    writes = data.draw(strategies.cuts(stream.data))
    framer = _follow(stream, writes, response=response)
    assert [(message.start, message.head_end, message.end) for message in framer.messages] == stream.messages
    assert framer.state is State.HEAD


@settings(max_examples=40)
@given(st.data(), st.booleans())
def test_damaged_streams_are_read_alike_however_they_are_cut(data: st.DataObject, response: bool) -> None:
    stream = data.draw(strategies.streams(response=response))
    damaged = data.draw(strategies.damaged(st.just(stream.data)))
    whole = _follow(stream, [damaged], response=response)
    cut = _follow(stream, data.draw(strategies.cuts(damaged)), response=response)
    assert (cut.messages, cut.state, cut.lost_at) == (whole.messages, whole.state, whole.lost_at)
