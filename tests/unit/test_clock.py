"""The offset between the kernel's clock and Unix time: what is measured, and when it changes."""

import time

from clew_agent.clock import Offset, follow, measure
from hypothesis import given
from hypothesis import strategies as st

HOUR = 3_600_000_000_000
ERRORS = st.integers(min_value=0, max_value=10**7)


def test_the_offset_leads_from_one_clock_to_the_other() -> None:
    offset = measure()
    before = time.time_ns()
    then = time.monotonic_ns() + offset.ns
    after = time.time_ns()
    assert before - offset.error_ns <= then <= after + offset.error_ns


def test_the_first_offset_is_taken() -> None:
    assert follow(None, Offset(5, 1)) == Offset(5, 1)


@given(true=st.integers(0, 2**62), errors=st.tuples(ERRORS, ERRORS), shares=st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
def test_what_the_error_explains_changes_nothing(true: int, errors: tuple[int, int], shares: tuple[float, float]) -> None:
    known, measured = (Offset(true + int(error * share), error) for error, share in zip(errors, shares, strict=True))
    assert follow(known, measured) == known


def test_a_time_that_was_set_is_followed() -> None:
    known = Offset(10**18, 300)
    for step in (HOUR, -HOUR, 1_000):
        assert follow(known, Offset(10**18 + step, 500)) == Offset(10**18 + step, 500)
