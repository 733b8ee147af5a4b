"""When to write the status. Pure: the clock and the dice are passed in.

A change is written soon, but not at once: what follows it within a moment goes with it, and not all nodes write in the same one. So a
revision costs a node two writes at most, one while programs are built and one when they are in force. Figures change all the time, and
are written every few minutes. Times are seconds of any clock that does not go back; ``chance`` is from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SETTLE = 0.5
JITTER = 1.5
FIGURES = 300.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """``due`` is when to write next."""

    due: float

    def changed(self, now: float, chance: float) -> Schedule:
        """Something has changed that is worth a write."""
        return replace(self, due=min(self.due, now + SETTLE + JITTER * chance))


def written(now: float, chance: float) -> Schedule:
    """The schedule after a write, and at the start: only figures are left to write."""
    return Schedule(now + FIGURES * (0.5 + chance))


def failed(now: float, pause: float) -> Schedule:
    """The schedule after a write that failed: again after a pause."""
    return Schedule(now + pause)
