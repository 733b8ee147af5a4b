"""What a finished trace must look like: the lab's own judgement of the agent's output.

It shares no code with the agent, so that a mistake in the agent is not repeated here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["CLIENT", "INTERNAL", "SERVER", "TraceSpan", "trace_faults"]

INTERNAL, SERVER, CLIENT = "internal", "server", "client"


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """A span that was exported: identifiers in hex, ``parent`` empty for a root, times in Unix nanoseconds."""

    trace: str
    span: str
    parent: str
    name: str
    kind: str
    service: str
    start: int
    end: int


def trace_faults(trace: Sequence[TraceSpan], calls: Mapping[str, str], clocks_ns: int = 0) -> list[str]:
    """What is wrong with a trace of one request, in sentences; empty when it is complete and right.

    ``calls`` maps every service to the one that calls it, and the entry service to the empty string. Each service must have exactly
    one server span; each but the entry's must be the child of a client span of its caller, and that of the caller's server span;
    every kernel span must lie below a request span of its own service; and children must lie within their parents' time. Only a
    server span may end after the client span above it: an answer can be read before the send that brought it has returned. Where
    services run on nodes of their own, their clocks may differ by `clocks_ns`.
    """
    by_id = {span.span: span for span in trace}
    servers = defaultdict(list)
    for span in trace:
        if span.kind == SERVER:
            servers[span.service].append(span)
    faults = [f"{service} has {len(servers[service])} server spans" for service in calls if len(servers[service]) != 1]
    faults += [f"{service} is not part of the application" for service in servers.keys() - calls.keys()]
    for span in trace:
        if span.kind == SERVER and span.service in calls:
            faults += _server_faults(span, by_id, calls[span.service])
        elif span.kind != SERVER:
            faults += _inner_faults(span, by_id)
        parent = by_id.get(span.parent)
        last = span.start if span.kind == SERVER else span.end
        apart = clocks_ns if parent is not None and parent.service != span.service else 0
        if parent is not None and not (parent.start - apart <= span.start <= last <= parent.end + apart):
            faults.append(f"{_called(span)} is not within the time of its parent {_called(parent)}")
    return faults


def _server_faults(span: TraceSpan, by_id: Mapping[str, TraceSpan], caller: str) -> list[str]:
    if not caller:
        return [f"{_called(span)} should be the root"] if span.parent else []
    client = by_id.get(span.parent)
    if client is None or client.kind != CLIENT or client.service != caller:
        return [f"{_called(span)} is not the child of a client span of {caller}"]
    return []


def _inner_faults(span: TraceSpan, by_id: Mapping[str, TraceSpan]) -> list[str]:
    """A client span hangs below its own service's server span; a kernel span below any span of its own service."""
    parent = by_id.get(span.parent)
    if parent is None or parent.service != span.service or (span.kind == CLIENT and parent.kind != SERVER):
        return [f"{_called(span)} has no parent in its own service"]
    return []


def _called(span: TraceSpan) -> str:
    return f"{span.kind} span {span.name!r} ({span.service})"
