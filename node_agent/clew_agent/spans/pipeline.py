"""The stages in their order: bytes of the ring buffer in, spans out, losses counted.

``assemble`` is a pure function of its state and its batch; the agent's loop owns the state and the facts, and passes the spans on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clew_agent.model import Span
from clew_agent.records import Decode, decode_all
from clew_agent.spans.enrich import enrich
from clew_agent.spans.facts import Facts
from clew_agent.spans.parent import HOLD_NS, LIMIT, Holding, Settled, release, settle


@dataclass(frozen=True, slots=True)
class Assembled:
    """Spans of one step, and how much each counter of ``clew_agent.metrics`` grew by."""

    spans: tuple[Span, ...]
    counts: Mapping[str, int]


def assemble(
    state: Holding,
    raw: Iterable[bytes],
    decode: Decode,
    facts: Facts,
    now_ns: int,
    hold_ns: int = HOLD_NS,
    limit: int = LIMIT,
) -> tuple[Holding, Assembled]:
    """Take a batch of records through all stages.

    To be called with an empty batch too, at least every ``hold_ns``, since requests are held back (see ``parent.settle``).
    """
    records, undecoded = decode_all(decode, raw)
    held, settled = settle(state, records, now_ns, hold_ns, limit)
    return held, _finish(settled, facts, {"records": len(records), "records_undecoded": undecoded})


def drain(state: Holding, facts: Facts) -> tuple[Holding, Assembled]:
    """The spans that are still held: at the end."""
    held, settled = release(state)
    return held, _finish(settled, facts, {})


def _finish(settled: Settled, facts: Facts, counts: Mapping[str, int]) -> Assembled:
    made = enrich(settled.records, facts)
    return Assembled(
        made.spans,
        {
            **counts,
            "spans": len(made.spans),
            "requests_not_held": settled.unheld,
            "spans_of_unknown_pods": made.unknown_pods,
            "spans_of_unknown_functions": made.unknown_functions,
            "arguments_missing": made.missing_arguments,
        },
    )
