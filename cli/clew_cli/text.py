"""Traces as text: the talk's table, one line a span: span ID, parent ID, service, name, timeline, duration. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from clew_cli.terminal import clean, columns, fit
from clew_cli.tree import Node, Trace

NO_PARENT = "0" * 16
NARROWEST = 80
_IDS = 16
_DURATION = 11
_DAY = 86_400 * 10**9
_GAP = "  "
_BARS = {"server": "█", "client": "▓", "kernel": "━"}


def render_trace(trace: Trace, width: int) -> str:
    """One trace as a table that is ``width`` columns wide (at least ``NARROWEST``)."""
    width = max(width, NARROWEST)
    labels = [_prefix(node) + clean(node.span.name or "(no name)") for node in trace.nodes]
    services = [clean(node.span.service or "(unknown)") for node in trace.nodes]
    service_width = min(max(len("Service"), *map(columns, services)), 16, width // 10)
    rest = width - 2 * _IDS - _DURATION - service_width - 5 * len(_GAP)
    name_width = min(max(len("Span name"), *map(columns, labels)), rest * 3 // 5)
    bar_width = rest - name_width
    lines = [
        _title(trace),
        _row("Span ID", "Parent ID", "Service", "Span name", "Timeline", "Duration", service_width, name_width, bar_width),
    ]
    for node, label, service in zip(trace.nodes, labels, services, strict=True):
        span = node.span
        bar = _bar(trace, node, bar_width)
        text = duration(span.end_ns - span.start_ns)
        row = _row(span.span_id, span.parent_id or NO_PARENT, service, label, bar, text, service_width, name_width, bar_width)
        lines.append(row + "".join(f"  ! {note}" for note in _remarks(node)))
    return "\n".join(lines)


def duration(nanoseconds: int) -> str:
    """A duration in milliseconds as the talk writes it, to the microsecond: ``10.427ms``, ``0.66ms``.

    Below a microsecond in nanoseconds, from ten seconds on in seconds, from a day on in days: it never has over eleven characters.
    """
    if abs(nanoseconds) < 1000:
        return f"{nanoseconds}ns" if nanoseconds else "0ms"
    if abs(nanoseconds) >= _DAY:
        return f"{nanoseconds / _DAY:.1f}d"
    if abs(nanoseconds) >= 9_999_999_500:
        return f"{nanoseconds / 1e9:.3f}s"
    text = f"{nanoseconds / 1e6:.3f}"
    return f"{text.rstrip('0').rstrip('.')}ms"


def _title(trace: Trace) -> str:
    count = len(trace.nodes)
    kernel = sum(node.span.is_kernel for node in trace.nodes)
    begun = datetime.fromtimestamp(trace.start_ns // 10**9, UTC)
    parts = [
        f"Trace {trace.trace_id}",
        f"{begun:%Y-%m-%d %H:%M:%S}.{trace.start_ns // 10**6 % 1000:03d} UTC",
        duration(trace.end_ns - trace.start_ns),
        f"{len(trace.services)} service{'' if len(trace.services) == 1 else 's'}",
        f"{count} span{'' if count == 1 else 's'}" + (f" ({kernel} of the kernel)" if kernel else ""),
    ]
    if len(trace.roots) > 1:
        parts.append(f"{len(trace.roots)} roots")
    return " · ".join(parts)


def _row(span: str, parent: str, service: str, name: str, bar: str, time: str, service_width: int, name_width: int, bar_width: int) -> str:
    cells = [
        fit(span, _IDS),
        fit(parent, _IDS),
        fit(service, service_width),
        fit(name, name_width),
        fit(bar, bar_width),
        time.rjust(_DURATION),
    ]
    return _GAP.join(cells)


def _prefix(node: Node) -> str:
    if not node.last:
        return ""
    return "".join("  " if last else "│ " for last in node.last[:-1]) + ("└ " if node.last[-1] else "├ ")


def _bar(trace: Trace, node: Node, width: int) -> str:
    """The span's place in the trace's time. Every span gets at least one cell, and none leaves the column."""
    extent = max(trace.end_ns - trace.start_ns, 1)
    first = min((node.span.start_ns - trace.start_ns) * width // extent, width - 1)
    end = -((trace.start_ns - max(node.span.end_ns, node.span.start_ns)) * width // extent)
    mark = _BARS["kernel" if node.span.is_kernel else node.span.kind] if node.span.is_kernel or node.span.kind in _BARS else "▒"
    return " " * first + mark * max(1, min(end, width) - first)


def _remarks(node: Node) -> Iterator[str]:
    yield from node.notes
    if node.span.status == "error":
        yield f"error: {clean(node.span.message)}" if node.span.message else "error"
