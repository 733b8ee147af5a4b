"""Ratios, durations and amounts: exact values, and what the grammars refuse."""

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction

import pytest
from clew_crds.values import Amount, parse_amount, parse_duration, parse_ratio
from hypothesis import given
from hypothesis import strategies as st

HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0s", 0),
        ("50us", 50_000),
        ("50µs", 50_000),
        ("1.5ms", 1_500_000),
        ("1m30s", 90 * 10**9),
        ("2h", 2 * HOUR),
        ("1h0.5s", HOUR + 500_000_000),
        ("7ns", 7),
    ],
)
def test_duration(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-1s", "+1s", "1 s", "1S", ".5s", "1.s", "1d", "0.5ns", "1s\n", "\u0661s", "1e3s", "100000h"]
)
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no "):
        parse_duration(text)


@given(
    st.lists(st.tuples(st.integers(0, 10**9 - 1), st.sampled_from([("us", 10**3), ("ms", 10**6), ("s", 10**9)])), min_size=1, max_size=4)
)
def test_duration_is_the_sum_of_its_parts(parts: list[tuple[int, tuple[str, int]]]) -> None:
    assert parse_duration("".join(f"{number}{unit}" for number, (unit, _) in parts)) == sum(number * size for number, (_, size) in parts)


@given(st.text(max_size=12), st.sampled_from([parse_duration, parse_ratio, parse_amount]))
def test_any_text_is_a_value_or_a_value_error(text: str, parse: Callable[[str], object]) -> None:
    with suppress(ValueError):
        assert parse(text) is not None


@given(st.integers(0, 10**9))
def test_ratio_is_exact(billionths: int) -> None:
    text = "1" if billionths == 10**9 else f"0.{billionths:09}"
    assert parse_ratio(text) == Fraction(billionths, 10**9)


@pytest.mark.parametrize("text", ["", "1.5", "1.01", "-0", "00.5", ".5", "0.", "0,5", "25%", "1e-3", "0.1234567890", "NaN"])
def test_no_ratio(text: str) -> None:
    with pytest.raises(ValueError, match="no decimal"):
        parse_ratio(text)


@pytest.mark.parametrize(
    ("text", "amount", "of_forty"),
    [
        ("1", Amount(1, percent=False), 1),
        ("41", Amount(41, percent=False), 40),
        ("10%", Amount(10, percent=True), 4),
        ("99%", Amount(99, percent=True), 39),
        ("1%", Amount(1, percent=True), 1),
        ("100%", Amount(100, percent=True), 40),
    ],
)
def test_amount(text: str, amount: Amount, of_forty: int) -> None:
    assert parse_amount(text) == amount
    assert amount.of(40) == of_forty
    assert amount.of(0) == 0


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "01", "-1", "1000000", "5.5%", "%", "ten"])
def test_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        parse_amount(text)


@given(st.integers(1, 999_999), st.booleans(), st.integers(0, 10_000))
def test_amount_stays_within_the_nodes(number: int, percent: bool, total: int) -> None:
    amount = Amount(min(number, 100) if percent else number, percent)
    assert min(total, 1) <= amount.of(total) <= total
