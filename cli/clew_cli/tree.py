"""From loose spans to trees: one trace per trace ID, each span under its parent, oddities named.

Files are seldom complete: a parent may be in another file, clocks of two nodes differ, a broken tool may write circles. Each of these
becomes a note on the span concerned, and no span is ever left out. Nothing here recurses: chains may be long. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from clew_cli.otlp import Span

ORPHAN = "parent not in file"
CYCLE = "is its own ancestor"
BACKWARDS = "ends before it starts"
EARLY = "starts before its parent"

DEEPEST_SHOWN = 32
"""Levels above a span that a tree drawing shows; deeper ones would leave no room for names."""


@dataclass(frozen=True, slots=True)
class Node:
    """A span in its place: ``depth`` 0 is a root.

    ``last`` has one entry a level, from below the root (at most ``DEEPEST_SHOWN``, the nearest ones): whether the span, or its
    ancestor of that level, is the last among its siblings.
    """

    span: Span
    depth: int
    last: tuple[bool, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace: its nodes in display order (each parent before its children, siblings by start), and its extent in Unix nanoseconds."""

    trace_id: str
    nodes: tuple[Node, ...]
    start_ns: int
    end_ns: int

    @property
    def roots(self) -> tuple[Node, ...]:
        """The spans without a parent in this file."""
        return tuple(node for node in self.nodes if node.depth == 0)

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services, in order of first appearance."""
        return tuple(dict.fromkeys(node.span.service for node in self.nodes if node.span.service))


def build_traces(spans: Iterable[Span]) -> list[Trace]:
    """All traces, in order of their first span."""
    grouped: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        grouped[span.trace_id].append(span)
    return sorted((_build(trace_id, members) for trace_id, members in grouped.items()), key=lambda trace: (trace.start_ns, trace.trace_id))


def _build(trace_id: str, spans: list[Span]) -> Trace:
    ordered = sorted(spans, key=lambda span: (span.start_ns, -span.end_ns, span.span_id))
    known = {span.span_id: span for span in ordered}
    children: defaultdict[str, list[Span]] = defaultdict(list)
    roots: list[Span] = []
    for span in ordered:
        (children[span.parent_id] if span.parent_id in known else roots).append(span)
    roots += _circles(ordered, roots, known, children)
    roots.sort(key=lambda span: (span.start_ns, span.span_id))
    return Trace(
        trace_id,
        tuple(_walk(roots, children, known)),
        min(span.start_ns for span in ordered),
        max(max(span.end_ns, span.start_ns) for span in ordered),
    )


def _circles(ordered: list[Span], roots: list[Span], known: dict[str, Span], children: dict[str, list[Span]]) -> list[Span]:
    """Cut each circle of parents at its earliest span, and return those spans: they become roots."""
    cut: list[Span] = []
    reached = _below(roots, children)
    for span in ordered:
        if span.span_id not in reached:
            first = _in_circle(span, known)
            children[first.parent_id] = [child for child in children[first.parent_id] if child is not first]
            reached |= _below([first], children)
            cut.append(first)
    return cut


def _below(spans: list[Span], children: dict[str, list[Span]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(spans)
    while waiting:
        span = waiting.pop()
        reached.add(span.span_id)
        waiting += children.get(span.span_id, [])
    return reached


def _in_circle(span: Span, known: dict[str, Span]) -> Span:
    """The earliest span of the circle that the parents of ``span`` end in."""
    seen: dict[str, None] = {}
    while span.span_id not in seen:
        seen[span.span_id] = None
        span = known[span.parent_id]
    names = list(seen)
    circle = [known[name] for name in names[names.index(span.span_id) :]]
    return min(circle, key=lambda one: (one.start_ns, one.span_id))


def _walk(roots: list[Span], children: dict[str, list[Span]], known: dict[str, Span]) -> Iterator[Node]:
    waiting: list[tuple[Span, int, tuple[bool, ...]]] = [(span, 0, ()) for span in reversed(roots)]
    while waiting:
        span, depth, last = waiting.pop()
        yield Node(span, depth, last, tuple(_notes(span, depth, known)))
        below = children.get(span.span_id, [])
        waiting += [
            (child, depth + 1, (*last, number == len(below) - 1)[-DEEPEST_SHOWN:]) for number, child in reversed(list(enumerate(below)))
        ]


def _notes(span: Span, depth: int, known: dict[str, Span]) -> Iterator[str]:
    parent = known.get(span.parent_id)
    if depth == 0 and span.parent_id:
        yield CYCLE if parent is not None else ORPHAN
    if span.end_ns < span.start_ns:
        yield BACKWARDS
    if depth and parent is not None and span.start_ns < parent.start_ns:
        yield EARLY
