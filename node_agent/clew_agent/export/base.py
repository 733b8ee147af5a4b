"""The two interfaces of export: what the pipeline sees (never blocks) and what a destination does (may block, in its own thread)."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from clew_agent.model import Span


class Exporter(Protocol):
    """Takes finished spans from the pipeline."""

    def export(self, spans: Sequence[Span]) -> None:
        """Take spans over. Never blocks; what finds no room is dropped and counted."""
        ...

    def shutdown(self, timeout_s: float) -> None:
        """Send what is left, for ``timeout_s`` seconds at most; what could not be sent is counted as dropped."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Totals since the start, and the length of the queue, by the names of ``clew_agent.metrics``."""
        ...


class Result(enum.Enum):
    """What became of a batch. ``RETRY``: the destination may take it later; ``REFUSED``: it never will."""

    SENT = "sent"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer of a sink. ``rejected`` counts the spans of a batch otherwise accepted that the destination did not want."""

    result: Result
    reason: str = ""
    retry_after_s: float | None = None
    rejected: int = 0


class Sink(Protocol):
    """A destination. ``send`` runs in the export thread; ``close`` may come from another and ends a waiting ``send``."""

    def send(self, spans: Sequence[Span]) -> Sent:
        """Deliver one batch. Errors are answers, not exceptions."""
        ...

    def close(self) -> None:
        """Let go of the destination."""
        ...
