"""The demo's judgement of traces."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clew_lab.backends.query import StoredSpan
from clew_lab.demo import verdict
from clew_lab.pages import CALLS, page_faults, pages
from clew_lab.traces import CLIENT, INTERNAL, SERVER, TraceSpan, trace_faults


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


def stored(item: TraceSpan, trace: str = "t1", path: str = "/productpage") -> StoredSpan:
    """As Jaeger has it: productpage and ratings on one node, details and reviews on the other."""
    node = "worker-1" if item.service in ("productpage", "ratings") else "worker-2"
    return StoredSpan(
        trace=trace,
        span=item.span,
        parent=item.parent,
        name=item.name,
        kind=item.kind,
        service=item.service if item.service != "reviews" else "reviews-v3",
        start=item.start,
        end=item.end,
        flags=1,
        attributes={"url.path": path} if item.kind == SERVER else {},
        resource={"k8s.node.name": node},
        scope="clew",
        error=None,
    )


PAGE = [stored(item) for item in WHOLE]
PROBE = stored(WHOLE[0], "t2", "/health")
CUT_SHORT = stored(replace(WHOLE[0], start=500, end=600), "t3")


def test_pages_are_traces_that_begin_with_one() -> None:
    assert pages([PROBE, CUT_SHORT, *reversed(PAGE)]) == {"t1": PAGE, "t3": [CUT_SHORT]}
    assert pages([PROBE, CUT_SHORT, *PAGE], since=100) == {"t3": [CUT_SHORT]}


def test_the_first_version_of_reviews_asks_nobody_for_stars() -> None:
    assert page_faults(PAGE) == []
    first = [replace(span, service="reviews-v1") if span.service == "reviews-v3" else span for span in PAGE if span.service != "ratings"]
    without = [span for span in first if span.name != "client:reviews"]
    assert page_faults(without) == []
    assert page_faults([span for span in PAGE if span.service != "ratings"]) == ["ratings has 0 server spans"]


def test_verdict_counts_whole_traces_and_names_faults() -> None:
    whole, lines = verdict(pages([PROBE, CUT_SHORT, *PAGE]), 2, 0)
    assert whole == ["t1"]
    assert lines == [
        "2 requests, 2 traces; 1 are whole, from productpage to the last service it asked, 1 of them over both nodes, "
        "with 1 kernel-function spans inside",
        "  1 times: details has 0 server spans",
        "  1 times: reviews has 0 server spans",
        "  1 times: ratings has 0 server spans",
    ]
