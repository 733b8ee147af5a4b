"""How a function's arguments lie in a record: what the code generator decides and the span pipeline reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ArgumentLayout:
    """One recorded argument. ``offset`` and ``size`` are bytes of the record's argument area.

    ``kind`` is ``signed``, ``unsigned``, ``bool``, ``string`` (NUL-terminated within ``size``) or ``pointer``.
    """

    name: str
    offset: int
    size: int
    kind: str


@dataclass(frozen=True, slots=True)
class FunctionLayout:
    """A recorded function. ``return_kind`` is a kind of ``ArgumentLayout``, or ``None`` where no return value is recorded."""

    name: str
    arguments: tuple[ArgumentLayout, ...]
    return_kind: str | None
    return_size: int
