"""What is asked of the code generator: kernel functions to record, for which policies, with what of each call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ArgumentRequest:
    """One argument to record: the parameter's name or index (from 0), the attribute's name if another, and the type to read it as.

    ``type`` is ``Integer``, ``String`` (kernel memory), ``UserString`` (the process's memory), or None: as BTF says.
    """

    name: str | None = None
    index: int | None = None
    as_name: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class FunctionRequest:
    """One kernel function to record. ``policies`` has a bit for each policy slot (0..63) in whose requests it is recorded.

    The same function may be asked for several times, differently by different policies; for a policy in several, the first counts.
    """

    name: str
    arguments: tuple[ArgumentRequest, ...] = ()
    returns: bool = False
    minimum_duration_ns: int = 0
    policies: int = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a function cannot be recorded as asked. ``reason`` is a word for a status, ``message`` says what to do; ``policies`` are
    those of the request."""

    function: str
    reason: str
    message: str
    policies: int


class FunctionError(ValueError):
    """A request that cannot be met; ``reason`` and the message are those of a :class:`Problem`."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason beside the message."""
        super().__init__(message)
        self.reason = reason
