"""The demo's judgement of traces."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from clew_lab.demo import CALLS, verdict
from clew_lab.traces import CLIENT, INTERNAL, SERVER, TraceSpan, read_spans, trace_faults, traces_by_id


def span(number: int, parent: int, kind: str, service: str, start: int, end: int, name: str = "") -> TraceSpan:
    return TraceSpan("t1", f"{number:016x}", f"{parent:016x}" if parent else "", name or f"{kind}:{service}", kind, service, start, end)


WHOLE = [
    span(1, 0, SERVER, "productpage", 0, 100),
    span(2, 1, CLIENT, "productpage", 10, 30),
    span(3, 2, SERVER, "details", 12, 28),
    span(4, 1, CLIENT, "productpage", 40, 90),
    span(5, 4, SERVER, "reviews", 42, 88),
    span(6, 5, CLIENT, "reviews", 50, 70),
    span(7, 6, SERVER, "ratings", 52, 68),
    span(8, 7, INTERNAL, "ratings", 53, 54, "tcp_sendmsg"),
]


def with_span(number: int, **changes: object) -> list[TraceSpan]:
    return [replace(item, **changes) if item.span == f"{number:016x}" else item for item in WHOLE]  # type: ignore[arg-type]  # by tests below


def test_a_whole_trace_has_no_faults() -> None:
    assert trace_faults(WHOLE, CALLS) == []


def test_clocks_of_different_nodes_may_differ_but_not_within_one() -> None:
    early = with_span(3, start=8)
    assert trace_faults(early, CALLS, clocks_ns=2) == []
    late = "server span 'server:details' (details) is not within the time of its parent client span 'client:productpage' (productpage)"
    assert trace_faults(early, CALLS, clocks_ns=1) == [late]
    assert len(trace_faults(with_span(2, start=-1), CALLS, clocks_ns=2)) == 1


@pytest.mark.parametrize(
    ("trace", "faults"),
    [
        (
            WHOLE[:5],
            ["ratings has 0 server spans"],
        ),
        (
            [*WHOLE, span(9, 4, SERVER, "reviews", 43, 44)],
            ["reviews has 2 server spans"],
        ),
        (
            [*WHOLE, span(9, 4, SERVER, "stranger", 43, 44)],
            ["stranger is not part of the application"],
        ),
        (
            with_span(1, parent="00000000000000aa"),
            ["server span 'server:productpage' (productpage) should be the root"],
        ),
        (
            with_span(3, parent=WHOLE[5].span, start=60, end=61),
            ["server span 'server:details' (details) is not the child of a client span of productpage"],
        ),
        (
            with_span(8, parent=WHOLE[4].span),
            ["internal span 'tcp_sendmsg' (ratings) has no parent in its own service"],
        ),
        (
            with_span(8, end=69),
            ["internal span 'tcp_sendmsg' (ratings) is not within the time of its parent server span 'server:ratings' (ratings)"],
        ),
        (
            with_span(6, parent=WHOLE[1].span, start=11, end=29),
            [
                "client span 'client:reviews' (reviews) has no parent in its own service",
                "server span 'server:ratings' (ratings) is not within the time of its parent client span 'client:reviews' (reviews)",
            ],
        ),
    ],
)
def test_faults(trace: list[TraceSpan], faults: list[str]) -> None:
    assert trace_faults(trace, CALLS) == faults


def test_verdict_counts_whole_traces_and_names_faults() -> None:
    other = [replace(item, trace="t2") for item in WHOLE[:1]]
    whole, lines = verdict([*other, *WHOLE], 2)
    assert whole == ["t1"]
    assert lines[0] == (
        "2 requests, 2 traces, 9 spans; "
        "1 traces are whole: all of productpage, details, reviews, ratings, with 1 kernel-function spans inside"
    )
    assert lines[1:] == [
        "  1 times: details has 0 server spans",
        "  1 times: reviews has 0 server spans",
        "  1 times: ratings has 0 server spans",
    ]


def test_spans_of_otlp_json_lines() -> None:
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "details"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": "t1",
                                "spanId": "s1",
                                "name": "server:details->NONE",
                                "kind": 2,
                                "startTimeUnixNano": "5",
                                "endTimeUnixNano": "7",
                            },
                            {
                                "traceId": "t1",
                                "spanId": "s2",
                                "parentSpanId": "s1",
                                "name": "tcp_sendmsg",
                                "kind": "SPAN_KIND_INTERNAL",
                                "startTimeUnixNano": "6",
                                "endTimeUnixNano": "7",
                            },
                        ]
                    }
                ],
            }
        ]
    }
    assert read_spans([json.dumps(document), "\n"]) == [
        TraceSpan("t1", "s1", "", "server:details->NONE", SERVER, "details", 5, 7),
        TraceSpan("t1", "s2", "s1", "tcp_sendmsg", INTERNAL, "details", 6, 7),
    ]


def test_traces_are_in_order_of_their_start() -> None:
    late = replace(WHOLE[0], trace="t0", start=500, end=600)
    assert list(traces_by_id([late, *reversed(WHOLE)])) == ["t1", "t0"]
    assert traces_by_id(reversed(WHOLE))["t1"] == WHOLE
