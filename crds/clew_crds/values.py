"""The small grammars inside a policy: ratios, durations, counts and percentages.

The Kubernetes API takes no floats and has no durations, so the API carries such values as strings. These parsers give them
meaning, exactly: no parser goes through a binary float. All are pure, and raise ``ValueError`` for a text outside the grammar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

RATIO_PATTERN = r"^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$"
DURATION_PATTERN = r"^([0-9]{1,9}(ns|(\.[0-9]{1,3})?(us|µs)|(\.[0-9]{1,6})?ms|(\.[0-9]{1,9})?s)|[0-9]{1,5}(\.[0-9]{1,9})?(m|h))+$"
"""Each part is a whole number of nanoseconds, and no 32 characters of them overflow Go's duration, which CEL has, too."""
TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"
AMOUNT_PATTERN = r"^([1-9][0-9]{0,5}|([1-9][0-9]?|100)%)$"

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")


def parse_ratio(text: str) -> Fraction:
    """The share that ``text`` states, from 0 to 1: ``"0.25"`` is one quarter. At most nine decimals."""
    if not _matches(RATIO_PATTERN, text):
        raise ValueError(f"{text!r} is no decimal from 0 to 1")
    return Fraction(Decimal(text))


def parse_duration(text: str) -> int:
    """Nanoseconds in a duration as Go and Kubernetes write it (``"50us"``, ``"1m30s"``, ``"1.5ms"``), without a sign.

    A fraction of a nanosecond is refused rather than rounded, and so are hours and minutes of more than five digits.
    """
    if not _matches(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is no duration")
    return int(sum(Fraction(Decimal(number)) * _UNITS[unit] for number, unit in _PART.findall(text)))


def parse_time(text: str) -> datetime:
    """The moment that Kubernetes writes as ``"2026-11-25T10:00:00Z"`` (RFC 3339, UTC, to the microsecond)."""
    if not _matches(TIME_PATTERN, text):
        raise ValueError(f"{text!r} is no time in UTC")
    return datetime.fromisoformat(text)


def format_time(moment: datetime) -> str:
    """A moment as ``parse_time`` reads it, to the second, as Kubernetes keeps the times of conditions. It must have a time zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of nodes: an absolute count, or a percentage of them."""

    number: int
    percent: bool

    def of(self, total: int) -> int:
        """How many of ``total`` this is: at least one when there are any, and never more than ``total``.

        A percentage is rounded down, as Kubernetes does for ``maxUnavailable``.
        """
        wanted = total * self.number // 100 if self.percent else self.number
        return min(total, max(1, wanted))


def parse_amount(text: str) -> Amount:
    """The amount in ``"3"`` (three nodes, up to 999999) or ``"10%"`` (1 to 100 per cent of the nodes)."""
    if not _matches(AMOUNT_PATTERN, text):
        raise ValueError(f"{text!r} is neither a count nor a percentage")
    return Amount(int(text.removesuffix("%")), text.endswith("%"))


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern.removeprefix("^").removesuffix("$"), text) is not None
