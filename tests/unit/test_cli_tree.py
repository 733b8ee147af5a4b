"""Trees from loose spans: order, depth, and every oddity that a file can hold."""

from clew_cli.otlp import Span
from clew_cli.tree import BACKWARDS, CYCLE, DEEPEST_SHOWN, EARLY, ORPHAN, Trace, build_traces
from hypothesis import given
from hypothesis import strategies as st

TRACE = "a" * 32


def span(number: int, parent: int = 0, start: int = 0, end: int = 100, trace: str = TRACE, service: str = "") -> Span:
    resource = {"service.name": service} if service else {}
    return Span(trace, f"{number:016x}", f"{parent:016x}" if parent else "", f"s{number}", "server", start, end, resource=resource)


def shape(trace: Trace) -> list[tuple[str, int, tuple[str, ...]]]:
    return [(node.span.name, node.depth, node.notes) for node in trace.nodes]


def test_children_follow_their_parent_in_order_of_start() -> None:
    [trace] = build_traces([span(3, 1, 50), span(4, 2, 20), span(1), span(2, 1, 10)])
    assert shape(trace) == [("s1", 0, ()), ("s2", 1, ()), ("s4", 2, ()), ("s3", 1, ())]
    assert [node.last for node in trace.nodes] == [(), (False,), (False, True), (True,)]


def test_traces_in_order_of_their_start() -> None:
    traces = build_traces([span(1, start=9, trace="b" * 32), span(1, start=3, trace="c" * 32)])
    assert [trace.trace_id[0] for trace in traces] == ["c", "b"]


def test_extent_and_services() -> None:
    [trace] = build_traces([span(1, start=10, end=90, service="a"), span(2, 1, 5, 300, service="b"), span(3, 1, 6, 2, service="a")])
    assert (trace.start_ns, trace.end_ns, trace.services) == (5, 300, ("a", "b"))


def test_orphan() -> None:
    [trace] = build_traces([span(1, start=5), span(2, 99, start=1), span(3, 2, start=2)])
    assert shape(trace) == [("s2", 0, (ORPHAN,)), ("s3", 1, ()), ("s1", 0, ())]


def test_several_roots() -> None:
    [trace] = build_traces([span(2, start=7), span(1, start=3)])
    assert [node.span.name for node in trace.roots] == ["s1", "s2"]


def test_circle_is_cut_at_its_earliest_span() -> None:
    [trace] = build_traces([span(1, 3, 30), span(2, 1, 10), span(3, 2, 20), span(4, 1, 40), span(5)])
    assert shape(trace) == [("s5", 0, ()), ("s2", 0, (CYCLE,)), ("s3", 1, ()), ("s1", 2, ()), ("s4", 3, ())]


def test_own_parent() -> None:
    [trace] = build_traces([span(1, 1)])
    assert shape(trace) == [("s1", 0, (CYCLE,))]


def test_clock_oddities() -> None:
    [trace] = build_traces([span(1, start=10, end=50), span(2, 1, start=5, end=2)])
    assert shape(trace) == [("s1", 0, ()), ("s2", 1, (BACKWARDS, EARLY))]


def test_a_long_chain() -> None:
    [trace] = build_traces([span(number, number - 1, number) for number in range(1, 20_001)])
    assert [node.depth for node in trace.nodes] == list(range(20_000))
    assert len(trace.nodes[-1].last) == DEEPEST_SHOWN


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 14), st.integers(0, 50), st.integers(0, 50)), max_size=16))
def test_no_span_is_lost_and_parents_come_first(rows: list[tuple[int, int, int, int]]) -> None:
    spans = {row[0]: span(*row) for row in rows}
    found = [node for trace in build_traces(spans.values()) for node in trace.nodes]
    assert sorted(node.span.span_id for node in found) == sorted(one.span_id for one in spans.values())
    seen: set[str] = set()
    for node in found:
        if node.depth:
            assert node.span.parent_id in seen
        else:
            assert not node.span.parent_id or node.notes
        seen.add(node.span.span_id)
