"""What a user is told where there is no result: one sentence, and the exit status that goes with it."""

from __future__ import annotations

WRONG = 1
"""Exit status: something was read, and it is not as it should be."""

NOTHING_READ = 2
"""Exit status: wrong usage, or nothing could be read."""


class CommandError(Exception):
    """Ends a command. ``str()`` of it is a sentence that says what is wrong and what to do."""

    def __init__(self, sentence: str, status: int = NOTHING_READ) -> None:
        super().__init__(sentence)
        self.status = status


class NotThereError(CommandError):
    """The cluster has no object of that name."""
