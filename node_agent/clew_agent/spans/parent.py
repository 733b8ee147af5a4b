"""Parents, and times that add up.

The kernel names every span's parent; what is left to do here is a request's end. It is taken when the last byte is sent, inside
the very functions that send it, which return microseconds later: their spans would stick out of the request that they belong to.
So a request is held back for a moment, and stretched over its own functions that began before it ended. Nothing else is moved: a
client span that outlives its server span did so.

State is passed in and out, and bounded: ``LIMIT`` requests are held, and the last function's end is known for as many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clew_agent.records import FunctionRecord, Record, RequestRecord

HOLD_NS = 200_000_000
LIMIT = 8_192


@dataclass(frozen=True, slots=True)
class Held:
    """A request that waits for its functions' records, since ``arrived_ns``."""

    record: RequestRecord
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class Holding:
    """What the stage remembers from one batch to the next.

    ``latest`` maps a request's span id to start and end of that function of it which ended last, for requests not yet seen.
    """

    held: Mapping[bytes, Held] = field(default_factory=dict)
    latest: Mapping[bytes, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settled:
    """Records that are final, in the order in which they may go on; ``unheld`` requests went on early, over the limit."""

    records: tuple[Record, ...]
    unheld: int = 0


def settle(state: Holding, batch: Iterable[Record], now_ns: int, hold_ns: int = HOLD_NS, limit: int = LIMIT) -> tuple[Holding, Settled]:
    """Take a batch in and give out what is final.

    A request goes on with a later batch (an empty one will do) that comes ``hold_ns`` or more after its own; with none to wait
    for (0: no function is recorded), at once. ``now_ns`` is any clock that does not go back. Function spans pass at once.
    """
    if not hold_ns:
        return Holding(), Settled((*(waiting.record for waiting in state.held.values()), *batch))
    held, latest = dict(state.held), dict(state.latest)
    out: list[Record] = []
    arrived: list[RequestRecord] = []
    for record in batch:
        if isinstance(record, FunctionRecord):
            out.append(record)
            _note(held, latest, record)
        else:
            arrived.append(record)
    for key in [key for key, waiting in held.items() if now_ns - waiting.arrived_ns >= hold_ns]:
        out.append(held.pop(key).record)
    unheld = 0
    for record in arrived:
        known = latest.pop(record.span_id, None)
        stretched = _stretch(record, *known) if known is not None else record
        if len(held) < limit and record.span_id not in held:
            held[record.span_id] = Held(stretched, now_ns)
        else:
            unheld += 1
            out.append(stretched)
    for key in list(latest)[: max(0, len(latest) - limit)]:
        del latest[key]
    return Holding(held, latest), Settled(tuple(out), unheld)


def release(state: Holding) -> tuple[Holding, Settled]:
    """Give out everything that is held: at the end."""
    return Holding(), Settled(tuple(waiting.record for waiting in state.held.values()))


def _note(held: dict[bytes, Held], latest: dict[bytes, tuple[int, int]], record: FunctionRecord) -> None:
    waiting = held.get(record.request_id)
    if waiting is not None:
        held[record.request_id] = Held(_stretch(waiting.record, record.start_ns, record.end_ns), waiting.arrived_ns)
        return
    known = latest.get(record.request_id)
    if known is None or known[1] < record.end_ns:
        latest[record.request_id] = (record.start_ns, record.end_ns)


def _stretch(request: RequestRecord, start_ns: int, end_ns: int) -> RequestRecord:
    return request._replace(end_ns=end_ns) if start_ns <= request.end_ns < end_ns else request
