"""The table: the talk's example to the character, and texts that a terminal must not obey."""

import pytest
from clew_cli.otlp import Span
from clew_cli.terminal import clean, columns
from clew_cli.text import duration, render_trace
from clew_cli.tree import build_traces
from hypothesis import given, settings
from hypothesis import strategies as st

TRACE = "0a4d000365a8f1e0000007c1000004b0"
T = 1_705_570_784_250_000_000


def span(
    identifier: str, parent: str, name: str, start_us: int, length_us: int, service: str, kind: str = "server", failure: str = ""
) -> Span:
    start = T + start_us * 1000
    status = "error" if failure else "unset"
    resource = {"service.name": service}
    return Span(TRACE, identifier, parent, name, kind, start, start + length_us * 1000, status, failure, "clew", resource=resource)


TALK = [
    span("019e381400000000", "", "server:productpage_pod->NONE", 0, 10427, "productpage"),
    span("019e1e2a02000000", "019e381400000000", "client:productpage_pod->detail_svc", 1000, 894, "productpage", "client"),
    span("019d019e03000000", "019e1e2a02000000", "server:detail_pod->productpage_pod", 1100, 585, "details"),
    span("0000000000000abc", "019d019e03000000", "tcp_sendmsg", 1400, 21, "details", "internal"),
    span("019ec11d05000000", "019e381400000000", "client:productpage_pod->review_svc", 5000, 660, "productpage", "client"),
    span("022f019e01000000", "019ec11d05000000", "server:review1_pod->productpage_pod", 5200, 321, "reviews", failure="503"),
    span("0000000000000def", "deadbeefdeadbeef", "late", 9000, 0, "reviews"),
]

TABLE = """\
Trace 0a4d000365a8f1e0000007c1000004b0 · 2024-01-18 09:39:44.250 UTC · 10.427ms · 3 services · 7 spans (1 of the kernel) · 2 roots
Span ID           Parent ID         Service      Span name                                Timeline                                  Duration
019e381400000000  0000000000000000  productpage  server:productpage_pod->NONE             █████████████████████████████████████     10.427ms
019e1e2a02000000  019e381400000000  productpage  ├ client:productpage_pod->detail_svc        ▓▓▓▓                                    0.894ms
019d019e03000000  019e1e2a02000000  details      │ └ server:detail_pod->productpage_pod      ███                                     0.585ms
0000000000000abc  019d019e03000000  details      │   └ tcp_sendmsg                            ━━                                     0.021ms
019ec11d05000000  019e381400000000  productpage  └ client:productpage_pod->review_svc                      ▓▓▓▓                       0.66ms
022f019e01000000  019ec11d05000000  reviews        └ server:review1_pod->productpage_pod                    ██                       0.321ms  ! error: 503
0000000000000def  deadbeefdeadbeef  reviews      late                                                                    █               0ms  ! parent not in file"""  # noqa: E501  # a table as printed


def test_the_table_of_the_talk() -> None:
    [trace] = build_traces(TALK)
    assert render_trace(trace, 140) == TABLE


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (10_427_000, "10.427ms"),
        (660_000, "0.66ms"),
        (0, "0ms"),
        (20, "20ns"),
        (1_000, "0.001ms"),
        (12_345_678_901, "12.346s"),
        (-5_000, "-0.005ms"),
        (-86_399_999_000_000, "-86399.999s"),
        (2**64, "213504.0d"),
    ],
)
def test_duration(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


def test_what_a_terminal_would_obey_is_replaced() -> None:
    assert clean("a\x1b[31mb\nc\u202ed\u200be\x9b") == "a�[31mb�c�d�e�"
    [trace] = build_traces([span("01" * 8, "", "x\x1b]0;y\x07", 0, 1, "s\r\n", failure="\x1b[2J")])
    printed = render_trace(trace, 120)
    assert all(one == "\n" or one.isprintable() for one in printed)


def test_wide_and_combining_characters() -> None:
    assert [columns("ab"), columns("日本"), columns("e\u0301")] == [2, 4, 1]


# What follows "  ! " on a line is a note, beyond the width.
NAMES = st.text(st.characters(exclude_characters="!"), max_size=24)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(NAMES, st.integers(0, 6), st.integers(0, 2**63), st.integers(0, 2**63)), min_size=1, max_size=5),
    st.integers(0, 200),
)
def test_lines_are_as_wide_as_asked(rows: list[tuple[str, int, int, int]], width: int) -> None:
    spans = [
        Span(TRACE, f"{number:016x}", f"{parent:016x}" if parent else "", name, "server", start, end)
        for number, (name, parent, start, end) in enumerate(rows, 1)
    ]
    [trace] = build_traces(spans)
    _, *lines = render_trace(trace, width).split("\n")
    assert len(lines) == len(rows) + 1
    assert {columns(line.split("  ! ")[0]) for line in lines} == {max(width, 80)}
