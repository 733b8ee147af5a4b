"""Identifiers taken apart: Clew's, foreign ones, headers, and what is none of these."""

import re
from contextlib import suppress

import pytest
from clew_cli.decode import decode, render
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_800_000_000.0
TRACE = "0a4d000365a8f1e0000007c1000004b0"
SPAN = "0003000400000007"


def values(text: str) -> dict[str, object]:
    fields = decode(text, NOW).as_json()["fields"]
    assert isinstance(fields, dict)
    return fields


def test_trace_id_of_clew() -> None:
    assert values(TRACE) == {"host": "10.77.0.3", "time": "2024-01-18T09:39:44Z", "sequence": 7, "debug_tag": "0xc1", "pid": 1200}
    assert decode(TRACE, NOW).structured is True


def test_span_id() -> None:
    assert values(SPAN) == {"source": "0003", "destination": "0004", "sequence": 7}
    assert decode(SPAN, NOW).structured is None


@pytest.mark.parametrize(
    "text", [f"00-{TRACE}-{SPAN}-01", f"traceparent: 00-{TRACE}-{SPAN}-01", f" Traceparent:00-{TRACE.upper()}-{SPAN}-01\n"]
)
def test_traceparent(text: str) -> None:
    decoded = decode(text, NOW)
    assert decoded.kind == "traceparent"
    assert decoded.structured is True
    fields = values(text)
    assert (fields["version"], fields["trace_id"], fields["span_id"], fields["flags"]) == ("00", TRACE, SPAN, "01")
    assert fields["pid"] == 1200
    assert fields["span_sequence"] == 7


def test_a_later_version_may_go_on() -> None:
    assert decode(f"cc-{TRACE}-{SPAN}-01-what-the-future", NOW).kind == "traceparent"


@pytest.mark.parametrize(("flags", "words"), [("00", "not sampled"), ("01", "sampled"), ("03", "sampled, random"), ("02", "random")])
def test_flags(flags: str, words: str) -> None:
    assert f"flags             {flags} ({words})" in render(decode(f"00-{TRACE}-{SPAN}-{flags}", NOW))


def test_another_tag_looks_foreign() -> None:
    decoded = decode("0af7651916cd43dd8448eb211c80319c", NOW)
    assert decoded.structured is False
    assert decoded.verdict == "looks random or foreign: the debug tag is 0x21, not Clew's 0xc1; the fields mean nothing then"


@pytest.mark.parametrize("seconds", ["00000001", "ffffffff"])
def test_the_tag_by_chance_with_an_impossible_time(seconds: str) -> None:
    decoded = decode(f"0a4d0003{seconds}000007c1000004b0", NOW)
    assert decoded.structured is False
    assert decoded.verdict == "looks random or foreign: it has the tag 0xc1, but its time is before 2024 or in the future"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", '"" is no identifier: only hexadecimal digits are allowed'),
        ("xyz", '"xyz" is no identifier: only hexadecimal digits are allowed'),
        ("abc", '"abc" has 3 digits: a trace ID has 32, a span ID 16'),
        ("0" * 32, f'"{"0" * 32}" is all zero, which W3C Trace Context forbids'),
        (f"ff-{TRACE}-{SPAN}-01", f'"ff-{TRACE}-{SPAN}-01" has version ff, which W3C Trace Context forbids'),
        (f"00-{'0' * 32}-{SPAN}-01", f'"00-{"0" * 32}-{SPAN}-01" has an all-zero trace ID, which W3C Trace Context forbids'),
        (f"00-{TRACE}-{'0' * 16}-01", f'"00-{TRACE}-{"0" * 16}-01" has an all-zero span ID, which W3C Trace Context forbids'),
        (f"00-{TRACE}-{SPAN}-01-x", f'"00-{TRACE}-{SPAN}-01-x" is longer than a traceparent of version 00'),
        ("00-12-34-01", '"00-12-34-01" is no traceparent: 00-<32 hexadecimal digits>-<16 digits>-<2 digits> is expected'),
        ("\x1b[31m" + "x" * 100, '"�[31m' + "x" * 74 + '…" is no identifier: only hexadecimal digits are allowed'),
    ],
)
def test_no_identifier(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        decode(text, NOW)


def test_render() -> None:
    assert render(decode(TRACE, NOW)) == (
        f"trace {TRACE}\n"
        "  host       10.77.0.3 (or the hash of an IPv6 address)\n"
        "  time       2024-01-18T09:39:44Z (Unix 1705570784)\n"
        "  sequence   7\n"
        "  debug tag  0xc1\n"
        "  pid        1200\n"
        "  looks like Clew's Structured layout: the debug tag is 0xc1 and the time is plausible"
    )


@given(st.text(alphabet="0123456789abcdefg-", max_size=60) | st.text(max_size=40))
def test_any_text_is_decoded_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert decode(text, NOW).fields
