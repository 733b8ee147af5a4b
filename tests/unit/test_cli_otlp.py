"""Reading OTLP-JSON lines: every kind of value, and everything that can be wrong with a line."""

import json
from typing import Any

import pytest
from clew_cli.otlp import Event, Span, Value, read_spans
from hypothesis import given
from hypothesis import strategies as st

TRACE, ONE, TWO = "0a4d000365a8f1e0000007c1000004b0", "0003000400000001", "0003000400000002"


def raw(**changes: Any) -> dict[str, Any]:
    return {"traceId": TRACE, "spanId": ONE, "name": "n", "kind": 2, "startTimeUnixNano": "10", "endTimeUnixNano": "30"} | changes


def line(*spans: object, resource: object = None, scope: object = None) -> bytes:
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": list(spans)}]}]}).encode()


def attribute(key: str, **value: object) -> dict[str, object]:
    return {"key": key, "value": value}


def test_a_whole_span() -> None:
    span = raw(
        parentSpanId=TWO.upper(),
        attributes=[
            attribute("s", stringValue="text"),
            attribute("i", intValue="-9007199254740993"),
            attribute("n", intValue=7),
            attribute("d", doubleValue=0.5),
            attribute("b", boolValue=True),
            attribute("a", arrayValue={"values": [{"intValue": "1"}, {"stringValue": "x"}]}),
            attribute("k", kvlistValue={"values": [attribute("in", boolValue=False)]}),
            attribute("y", bytesValue="AQI="),
            attribute("none"),
        ],
        status={"code": 2, "message": "503"},
        events=[{"name": "e", "timeUnixNano": "12", "attributes": [attribute("x", intValue="1")]}],
    )
    reading = read_spans([line(span, resource={"attributes": [attribute("service.name", stringValue="shop")]}, scope={"name": "lib"})])
    attributes: dict[str, Value] = {
        "s": "text",
        "i": -9007199254740993,
        "n": 7,
        "d": 0.5,
        "b": True,
        "a": [1, "x"],
        "k": {"in": False},
        "y": "0x0102",
        "none": None,
    }
    assert reading.problems == ()
    assert reading.spans == (
        Span(
            TRACE, ONE, TWO, "n", "server", 10, 30, "error", "503", "lib", attributes, {"service.name": "shop"}, (Event("e", 12, {"x": 1}),)
        ),
    )  # fmt: skip
    assert reading.spans[0].service == "shop"


def test_names_of_enums_are_read_too() -> None:
    [span] = read_spans([line(raw(kind="SPAN_KIND_CLIENT", status={"code": "STATUS_CODE_ERROR"}))]).spans
    assert (span.kind, span.status) == ("client", "error")


@pytest.mark.parametrize("parent", ["", "0" * 16, None])
def test_no_parent(parent: str | None) -> None:
    assert read_spans([line(raw(parentSpanId=parent))]).spans[0].parent_id == ""


@pytest.mark.parametrize(
    ("kind", "scope", "attributes", "kernel"),
    [
        (1, "clew", [], True),
        (1, "other", [attribute("clew.function.return", intValue="0")], True),
        (1, "other", [], False),
        (1, "clewless", [], False),
        (2, "clew", [], False),
    ],
)
def test_kernel_spans(kind: int, scope: str, attributes: list[object], kernel: bool) -> None:
    assert read_spans([line(raw(kind=kind, attributes=attributes), scope={"name": scope})]).spans[0].is_kernel is kernel


def test_a_span_that_comes_twice_is_kept_once() -> None:
    assert len(read_spans([line(raw()), line(raw(), raw(spanId=TWO))]).spans) == 2


def test_other_signals_and_empty_lines_are_no_problem() -> None:
    assert read_spans([b"\n", b"{}", b'{"resourceLogs":[]}', b'{"resourceSpans":null}']) == read_spans([])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"{", "is no JSON: Expecting property name enclosed in double quotes at character 2"),
        (b'{"resourceSpans":[{"resou', "is no JSON: Unterminated string starting at at character 20"),
        (b"\xff\xfe\x00", "is no JSON: 'utf-16-le' codec can't decode byte 0x00 in position 2: truncated data"),
        (b"[1]", 'is no ExportTraceServiceRequest: an object with "resourceSpans" is expected'),
        (b'{"spans":[]}', 'is no ExportTraceServiceRequest: an object with "resourceSpans" is expected'),
        (b'{"resourceSpans":{}}', "resourceSpans is no list of objects"),
        (b'{"resourceSpans":[{"resource":[]}]}', "resource is no object"),
        (b"[" * 200_000, "is nested too deeply"),
        (line(raw(traceId="xyz")), 'span 1 of scope "": traceId is not 32 hexadecimal digits'),
        (line(raw(traceId="0" * 32)), 'span 1 of scope "": traceId is not 32 hexadecimal digits'),
        (line(raw(spanId=None)), 'span 1 of scope "": spanId is not 16 hexadecimal digits'),
        (line(raw(parentSpanId="12")), 'span 1 of scope "": parentSpanId is not 16 hexadecimal digits'),
        (line(raw(name=5)), 'span 1 of scope "": name is no text'),
        (line(raw(startTimeUnixNano="soon")), 'span 1 of scope "": startTimeUnixNano is no time in nanoseconds'),
        (line(raw(endTimeUnixNano=-1)), 'span 1 of scope "": endTimeUnixNano is no time in nanoseconds'),
        (line(raw(endTimeUnixNano=True)), 'span 1 of scope "": endTimeUnixNano is no time in nanoseconds'),
        (line(raw(attributes="x")), 'span 1 of scope "": attributes is no list of objects'),
    ],
)
def test_a_bad_line_is_told_and_the_others_are_kept(text: bytes, problem: str) -> None:
    reading = read_spans([line(raw()), text, line(raw(spanId=TWO))])
    assert [span.span_id for span in reading.spans] == [ONE, TWO]
    assert reading.problems == (f"line 2: {problem}",)


def test_a_bad_span_does_not_take_its_neighbours_along() -> None:
    reading = read_spans([line(raw(), raw(spanId=""), raw(spanId=TWO), scope={"name": "s"})])
    assert [span.span_id for span in reading.spans] == [ONE, TWO]
    assert reading.problems == ('line 1: span 2 of scope "s": spanId is not 16 hexadecimal digits',)


def test_values_nested_too_deeply() -> None:
    value: dict[str, object] = {"stringValue": "x"}
    for _ in range(20):
        value = {"arrayValue": {"values": [value]}}
    reading = read_spans([line(raw(attributes=[{"key": "k", "value": value}]))])
    assert reading.problems == ('line 1: span 1 of scope "": an attribute\'s value is nested too deeply',)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["resourceSpans", "resource", "scopeSpans", "scope", "spans", "attributes", "key", "value", "intValue", "status", "kind"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(JSON)
def test_any_json_is_spans_or_problems(document: object) -> None:
    reading = read_spans([json.dumps(document).encode()])
    assert all(problem.startswith("line 1: ") for problem in reading.problems)


@given(st.binary(max_size=60))
def test_any_bytes_are_spans_or_problems(text: bytes) -> None:
    assert read_spans([text]).spans == ()
