"""Requests wait for their functions and are stretched over them; nothing else moves, and memory is bounded."""

from __future__ import annotations

from clew_agent.records import Record
from clew_agent.spans.parent import Holding, Settled, release, settle
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.span_records import CLIENT, SERVER, function, request


def test_a_request_waits_for_the_function_that_sent_its_last_byte() -> None:
    late = function(start_ns=1_900, end_ns=2_050)
    state, first = settle(Holding(), [request()], now_ns=0, hold_ns=10)
    state, second = settle(state, [late], now_ns=5, hold_ns=10)
    state, third = settle(state, [], now_ns=10, hold_ns=10)
    assert (first.records, second.records) == ((), (late,))
    assert third.records == (request(end_ns=2_050),)
    assert state == Holding()


def test_a_function_that_came_with_or_before_its_request_counts_too() -> None:
    early = function(start_ns=1_900, end_ns=2_050)
    state, _ = settle(Holding(), [early], now_ns=0)
    state, _ = settle(state, [request()], now_ns=1)
    assert release(state)[1].records == (request(end_ns=2_050),)
    state, _ = settle(Holding(), [early, request()], now_ns=0)
    assert release(state)[1].records == (request(end_ns=2_050),)
    state, _ = settle(Holding(), [request(), early], now_ns=0)
    assert release(state)[1].records == (request(end_ns=2_050),)


def test_a_function_that_began_after_the_end_does_not_stretch() -> None:
    state, _ = settle(Holding(), [request(), function(start_ns=2_001, end_ns=9_000)], now_ns=0)
    assert release(state)[1].records == (request(),)


def test_a_function_of_another_request_does_not_stretch() -> None:
    state, _ = settle(Holding(), [request(), function(start_ns=1_900, end_ns=9_000, request_id=CLIENT)], now_ns=0)
    assert release(state)[1].records == (request(),)


def test_a_client_that_outlives_its_server_is_left_so() -> None:
    client = request(role=2, parent_id=SERVER, start_ns=1_500, end_ns=7_000)
    state, _ = settle(Holding(), [request(), client], now_ns=0)
    assert release(state)[1].records == (request(), client)


def test_a_request_is_never_given_out_with_its_own_batch() -> None:
    state, first = settle(Holding(), [request()], now_ns=9, hold_ns=1)
    assert first.records == ()
    assert settle(state, [], now_ns=10, hold_ns=1)[1].records == (request(),)


def test_with_nothing_to_wait_for_requests_pass_at_once() -> None:
    early, late = request(span_id=b"1" * 8), request(span_id=b"2" * 8)
    assert settle(Holding(), [early], now_ns=0, hold_ns=0) == (Holding(), Settled((early,)))
    state, _ = settle(Holding(), [early], now_ns=0)
    assert settle(state, [late], now_ns=0, hold_ns=0) == (Holding(), Settled((early, late)))


def test_what_is_over_the_limit_goes_on_early_and_is_counted() -> None:
    batch = [request(span_id=bytes([n] * 8)) for n in range(1, 6)]
    state, settled = settle(Holding(), batch, now_ns=0, limit=3)
    assert (settled.records, settled.unheld) == (tuple(batch[3:]), 2)
    assert len(state.held) == 3
    state, _ = settle(Holding(), [function(request_id=bytes([n] * 8)) for n in range(1, 6)], now_ns=0, limit=3)
    assert list(state.latest) == [bytes([n] * 8) for n in (3, 4, 5)]


TIMES = st.integers(0, 50)
REQUESTS = st.builds(
    lambda n, start, length: request(span_id=bytes([n] * 8), start_ns=start, end_ns=start + length), st.integers(1, 4), TIMES, TIMES
)
FUNCTIONS = st.builds(
    lambda n, start, length: function(request_id=bytes([n] * 8), start_ns=start, end_ns=start + length), st.integers(1, 4), TIMES, TIMES
)


@given(st.lists(st.lists(REQUESTS | FUNCTIONS, max_size=6), max_size=6))
def test_every_record_comes_out_once_and_only_ends_grow(batches: list[list[Record]]) -> None:
    state = Holding()
    out: list[Record] = []
    for now, batch in enumerate(batches):
        state, settled = settle(state, batch, now_ns=now, hold_ns=2, limit=3)
        out.extend(settled.records)
        assert len(state.held) <= 3
        assert len(state.latest) <= 3
    out.extend(release(state)[1].records)
    came = [record for batch in batches for record in batch]
    assert sorted(record.start_ns for record in out) == sorted(record.start_ns for record in came)
    assert sum(record.end_ns for record in out) >= sum(record.end_ns for record in came)
