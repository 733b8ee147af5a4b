"""The types of arguments that can be recorded: a table, one row a type.

A row says which C types it takes, how many bytes a value needs, the C that stores it, and the kind by which user space decodes
it (``layout.py``). The first row that takes a type has it; a policy's ``type:`` picks a row by name instead. A new type, such
as a socket's addresses, is a row here and, where its kind is new, a line in ``spans/arguments.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clew_agent.kernel.btf import Btf, Kind, Type

STRING_BYTES = 128
"""Room for a string with its NUL; longer ones are cut."""


@dataclass(frozen=True, slots=True)
class ArgumentRow:
    """One type. ``capture`` is C with ``{to}`` (where the value goes), ``{value}`` (the register, a u64) and ``{bits}``."""

    name: str
    takes: Callable[[Btf, Type], bool]
    size: Callable[[Type], int]
    kind: Callable[[Type], str]
    capture: str


def _is_word(_btf: Btf, found: Type) -> bool:
    """Whether the type is a number that fits a register; BTF's integers may have 16 bytes."""
    return found.kind in (Kind.INT, Kind.ENUM, Kind.ENUM64) and found.size in (1, 2, 4, 8)


def _is_pointer(_btf: Btf, found: Type) -> bool:
    return found.kind is Kind.PTR


def _is_text(btf: Btf, found: Type) -> bool:
    if found.kind is not Kind.PTR:
        return False
    target = found.target
    while (pointee := btf.type(target)).kind in (Kind.CONST, Kind.VOLATILE, Kind.TYPE_TAG):
        target = pointee.target
    return pointee.kind is Kind.INT and pointee.name == "char"


def _own_size(found: Type) -> int:
    return 8 if found.kind is Kind.PTR else found.size


def _sign(found: Type) -> str:
    # Kernels before 6.0 do not mark the sign of an enum; one with a negative value has it all the same.
    negative = any(value < 0 or 1 << 31 <= value < 1 << 32 for _, value in found.values) and found.size == 4
    return "signed" if found.signed or (found.kind is Kind.ENUM and negative) else "unsigned"


_STORE = "*(u{bits} *)({to}) = (u{bits})({value});"
_READ_KERNEL = "*({to}) = 0; bpf_probe_read_kernel_str({to}, {size}, (void *)({value}));"
_READ_USER = "*({to}) = 0; bpf_probe_read_user_str({to}, {size}, (void *)({value}));"

ROWS: tuple[ArgumentRow, ...] = (
    ArgumentRow("Boolean", lambda _btf, found: found.kind is Kind.INT and found.boolean, _own_size, lambda _found: "bool", _STORE),
    ArgumentRow("Integer", _is_word, _own_size, _sign, _STORE),
    ArgumentRow("String", _is_text, lambda _found: STRING_BYTES, lambda _found: "string", _READ_KERNEL),
    ArgumentRow("Pointer", _is_pointer, _own_size, lambda _found: "pointer", _STORE),
)

# Rows that only a policy's `type:` picks: BTF does not tell a user's pointer from the kernel's, nor a string from any bytes.
CHOSEN: dict[str, ArgumentRow] = {
    "Integer": ArgumentRow("Integer", lambda btf, found: _is_word(btf, found) or _is_pointer(btf, found), _own_size, _sign, _STORE),
    "String": ArgumentRow("String", _is_pointer, lambda _found: STRING_BYTES, lambda _found: "string", _READ_KERNEL),
    "UserString": ArgumentRow("UserString", _is_pointer, lambda _found: STRING_BYTES, lambda _found: "string", _READ_USER),
}


def row_for(btf: Btf, number: int, chosen: str | None) -> ArgumentRow | None:
    """The row for a type, or None where no row (or not the chosen one) takes it."""
    found = btf.resolve(number)
    if chosen is None:
        return next((row for row in ROWS if row.takes(btf, found)), None)
    row = CHOSEN.get(chosen)
    return row if row and row.takes(btf, found) else None


def describe(btf: Btf, number: int) -> str:
    """A type as C writes it, near enough for a message."""
    found = btf.type(number)
    if found.kind is Kind.PTR:
        return f"{describe(btf, found.target)} *"
    if found.kind is Kind.CONST:
        return f"const {describe(btf, found.target)}"
    if found.kind in (Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG):
        return describe(btf, found.target)
    if found.kind is Kind.FUNC_PROTO:
        return "function"
    words = {Kind.STRUCT: "struct ", Kind.UNION: "union ", Kind.ENUM: "enum ", Kind.ENUM64: "enum "}
    return f"{words.get(found.kind, '')}{found.name or '{…}'}"
