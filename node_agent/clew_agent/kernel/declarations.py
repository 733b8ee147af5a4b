"""The kernel types that a C text mentions, as C: a header of some hundred lines where the kernel's whole has 130,000.

A struct is written with those members whose names occur in the text, at their true offsets, and with padding for all others;
its size is the true one. So a text may say ``sk->__sk_common.skc_dport`` and pay for one member of ``struct sock``. The rules:

* a name after ``struct``, ``union`` or ``enum``, a typedef's name, and the enum of any constant that occurs is a root;
* a member that occurs and points to a struct makes that struct a root too, so that ``a->b->c`` needs no declaration of ``b``;
* other structs behind pointers are only declared, and what the text defines itself is never defined again.

Qualifiers (``const``, ``volatile``) are dropped: they change no layout. ``tests/unit/test_headers_layout.py`` has a compiler
compare the size of every struct and the place of every member, bit-fields too, with the BTF of two real kernels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from clew_agent.kernel.btf import COMPOUND, QUALIFIERS, Btf, Kind, Member, Type

_TAGS = (Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]\w*")
_TAG = re.compile(r"\b(?:struct|union|enum)\s+([A-Za-z_]\w*)")
_OWN = (
    re.compile(r"\b(?:struct|union|enum)\s+([A-Za-z_]\w*)\s*\{"),
    re.compile(r"\btypedef\b[^;{}]*\b([A-Za-z_]\w*)\s*;"),
    re.compile(r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)", re.MULTILINE),
    re.compile(r"^(?:[A-Za-z_]\w*[ \t*]+)+([A-Za-z_]\w*)\s*\(", re.MULTILINE),
    re.compile(r"^BPF_\w+\(\s*([A-Za-z_]\w*)", re.MULTILINE),
)
_ENUM_BODY = re.compile(r"\benum\b[^;{}()]*\{([^}]*)\}")
_BUILTIN = ("__builtin_va_list",)
_CONSTANT = re.compile(r"(?:^|,)\s*([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class Mentions:
    """What a C text speaks of: names after a keyword, all identifiers, and those that the text defines itself."""

    tags: frozenset[str]
    identifiers: frozenset[str]
    own: frozenset[str]


def mentions(sources: Iterable[str]) -> Mentions:
    """Collect the names of C texts; comments and strings do not count."""
    text = _COMMENT.sub(" ", "\n".join(sources))
    own = {name for pattern in _OWN for name in pattern.findall(text)}
    own.update(name for body in _ENUM_BODY.findall(text) for name in _CONSTANT.findall(body))
    return Mentions(frozenset(_TAG.findall(text)), frozenset(_WORD.findall(text)), frozenset(own))


@dataclass(slots=True)
class _Layout:
    """A struct's body being written: its lines, the bit that comes next, its alignment, and whether it must be packed."""

    lines: list[str]
    position: int = 0
    align: int = 1
    packed: bool = False


class Declarations:
    """Collects declarations in an order that compiles; :meth:`text` is the header.

    ``mentioned`` are the member names to keep; ``None`` keeps every member (of what is asked for and what that embeds).
    ``own`` are names that must not be defined.
    """

    def __init__(self, btf: Btf, mentioned: frozenset[str] | None, own: frozenset[str] = frozenset()) -> None:
        """Start with nothing declared."""
        self._btf = btf
        self._mentioned = mentioned
        self._own = own
        self._parts: list[str] = []
        self._forward: dict[str, None] = {}
        self._done = {number for name in _BUILTIN if (number := btf.find(name, Kind.TYPEDEF)) is not None}
        self._whole: set[int] = set()
        self._alignments: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._taken: set[str] = set(own)
        self._constants: set[str] = set(own)
        self._waiting: list[int] = []
        self._pads = 0

    def add(self, number: int, *, whole: bool = False) -> None:
        """Define a struct, union, enum or typedef, and what it needs; ``whole`` keeps all of its members."""
        if whole:
            self._whole.add(number)
        self._need(number, complete=True)
        while self._waiting:
            self._need(self._waiting.pop(), complete=True)

    def forward(self, tag: str) -> None:
        """Only declare, as in ``forward("struct sock")``."""
        self._forward[f"{tag};"] = None

    def constants(self) -> frozenset[str]:
        """The enumerators that the header defines, and the names it was told not to."""
        return frozenset(self._constants)

    def text(self) -> str:
        """The header."""
        return "\n".join([*self._forward, *self._parts]) + "\n"

    def _need(self, number: int, *, complete: bool) -> None:
        """See that a type can be named, and if ``complete`` also used by value, at this point of the header."""
        found = self._btf.type(number)
        if found.kind in QUALIFIERS:
            self._need(found.target, complete=complete)
        elif found.kind is Kind.TYPEDEF:
            self._need_typedef(found, complete)
        elif found.kind is Kind.PTR:
            self._need(found.target, complete=False)
        elif found.kind is Kind.ARRAY:
            self._need(found.target, complete=True)
        elif found.kind is Kind.FUNC_PROTO:
            for part in (found.target, *(parameter.type for parameter in found.parameters)):
                self._need(part, complete=False)
        elif found.kind in (Kind.ENUM, Kind.ENUM64):
            self._define_enum(found)
        elif found.kind in COMPOUND and found.name:
            self.forward(self._tag(found))
            if complete and number not in self._done and not self._is_own(found):
                self._done.add(number)
                body, attributes = self._body(found)
                self._parts.append(f"{self._tag(found)} {{\n{body}}}{attributes};")
        elif found.kind in COMPOUND:
            self._body(found)
        elif found.kind is Kind.FWD:
            self.forward(f"{'union' if found.union else 'struct'} {found.name}")

    def _need_typedef(self, found: Type, complete: bool) -> None:
        if found.number not in self._done and found.name not in self._own:
            self._done.add(found.number)
            target = self._btf.type(found.target)
            self._need(found.target, complete=not target.name)
            self._parts.append(f"typedef {self._declare(found.target, self._unique(found))};")
        if complete or found.name in self._own:
            self._need(found.target, complete=complete)

    def _is_own(self, found: Type) -> bool:
        return found.name in self._own

    def _unique(self, found: Type) -> str:
        """The type's name, with a suffix when another type of the kernel has the same."""
        if found.number not in self._names:
            name, count = found.name, 1
            space = "" if found.kind is Kind.TYPEDEF else "tag "
            while space + name in self._taken:
                count += 1
                name = f"{found.name}___{count}"
            self._taken.add(space + name)
            self._names[found.number] = name
        return self._names[found.number]

    def _tag(self, found: Type) -> str:
        return f"{'union' if found.kind is Kind.UNION else 'struct'} {self._unique(found)}"

    def _define_enum(self, found: Type) -> None:
        if found.number in self._done or not found.values:
            return
        self._done.add(found.number)
        tag = f"enum {self._unique(found)}" if found.name and not self._is_own(found) else "enum"
        lines = []
        for name, value in found.values:
            unique, count = name, 1
            while unique in self._constants:
                count += 1
                unique = f"{name}___{count}"
            self._constants.add(unique)
            lines.append(f"\t{unique} = {_number(value)},\n")
        small = all(-(1 << 31) <= value < 1 << 32 for _, value in found.values)
        mode = {1: " __attribute__((mode(QI)))", 2: " __attribute__((mode(HI)))", 8: " __attribute__((mode(DI)))" if small else ""}
        self._parts.append(f"{tag} {{\n{''.join(lines)}}}{mode.get(found.size, '')};")

    def _kept(self, owner: Type, member: Member) -> bool:
        if self._mentioned is None or owner.number in self._whole or member.name in self._mentioned:
            return True
        inner = self._btf.type(member.type)
        return not member.name and any(self._kept(inner, each) for each in inner.members)

    def _body(self, owner: Type) -> tuple[str, str]:
        """The members of a struct or union with their padding, and the attributes that make its layout the true one."""
        layout = _Layout([])
        for member in owner.members:
            if self._kept(owner, member):
                if owner.number in self._whole and not member.name:
                    self._whole.add(member.type)
                self._place(owner, member, layout)
        if owner.kind is Kind.UNION:
            if owner.size:
                layout.lines.append(f"\t{self._padding(owner.size)}\n")
        else:
            self._pad(layout, owner.size * 8)
        if owner.size % layout.align:
            layout.packed = True
        self._alignments[owner.number] = 1 if layout.packed else layout.align
        return "".join(layout.lines), " __attribute__((packed))" if layout.packed else ""

    def _place(self, owner: Type, member: Member, layout: _Layout) -> None:
        self._need(member.type, complete=True)
        self._follow(member)
        align, size = self._align(member.type), self._btf.size_of(member.type)
        if owner.kind is Kind.STRUCT:
            self._pad(layout, member.offset)
            layout.position = member.offset + (member.bits or size * 8)
        straddles = member.bits and member.offset % (size * 8) + member.bits > size * 8
        if straddles or (not member.bits and member.offset // 8 % align):
            layout.packed = True
        layout.align = max(layout.align, align)
        width = f" : {member.bits}" if member.bits else ""
        declared = self._declare(member.type, member.name).replace("\n", "\n\t")
        layout.lines.append(f"\t{declared}{width};\n")

    def _follow(self, member: Member) -> None:
        """Let what a mentioned member points to be defined as well."""
        if self._mentioned is None or member.name not in self._mentioned:
            return
        found = self._btf.resolve(member.type)
        while found.kind in (Kind.PTR, Kind.ARRAY):
            found = self._btf.resolve(found.target)
        if found.kind in COMPOUND and found.name:
            self._waiting.append(found.number)

    def _pad(self, layout: _Layout, until: int) -> None:
        """Fill the bits between the layout's position and ``until``."""
        position = layout.position
        if position < until and position % 8:
            fill = min(until, position + 8 - position % 8) - position
            layout.lines.append(f"\tunsigned char : {fill};\n")
            position += fill
        if (count := until // 8 - position // 8) > 0:
            layout.lines.append(f"\t{self._padding(count)}\n")
            position = until // 8 * 8
        if position < until:
            layout.lines.append(f"\tunsigned char : {until - position};\n")
        layout.position = until

    def _padding(self, count: int) -> str:
        self._pads += 1
        return f"char __pad{self._pads}[{count}];"

    def _align(self, number: int) -> int:
        found = self._btf.resolve(number)
        if found.kind is Kind.ARRAY:
            return self._align(found.target)
        if found.kind in COMPOUND:
            return self._alignments.get(found.number, 1)
        return 8 if found.kind is Kind.PTR else max(found.size, 1)

    def _declare(self, number: int, name: str) -> str:
        """A C declaration of ``name`` (which may be empty) as this type; whatever it needs has been declared before."""
        found = self._btf.type(number)
        if found.kind in QUALIFIERS:
            return self._declare(found.target, name)
        if found.kind is Kind.PTR:
            target = self._btf.type(found.target)
            while target.kind in QUALIFIERS:
                target = self._btf.type(target.target)
            return self._declare(target.number, f"(*{name})" if target.kind in (Kind.ARRAY, Kind.FUNC_PROTO) else f"*{name}")
        if found.kind is Kind.ARRAY:
            if self._opaque(found.target):
                return f"char {name}[{self._btf.size_of(number)}]"
            return self._declare(found.target, f"{name}[{found.count}]")
        if found.kind is Kind.FUNC_PROTO:
            parameters = [self._declare(parameter.type, "") for parameter in found.parameters] + ["..."] * found.variadic
            return self._declare(found.target, f"{name}({', '.join(parameters) or 'void'})")
        if found.kind in COMPOUND and not name.startswith("*") and self._opaque(number):
            return f"char {name}[{found.size}]"
        return f"{self._specifier(found)} {name}".rstrip()

    def _opaque(self, number: int) -> bool:
        """Whether the text has a type of its own by this name, so that the kernel's cannot be written."""
        found = self._btf.type(number)
        return found.kind in (*COMPOUND, Kind.TYPEDEF) and bool(found.name) and self._is_own(found)

    def _specifier(self, found: Type) -> str:
        if found.kind is Kind.TYPEDEF:
            return self._unique(found) if found.name not in self._own else self._declare(found.target, "")
        if found.kind in (Kind.ENUM, Kind.ENUM64):
            if found.name and found.values and not self._is_own(found):
                return f"enum {self._unique(found)}"
            width = {1: "char", 2: "short", 8: "long"}.get(found.size, "int")
            return width if found.signed else f"unsigned {width}"
        if found.kind is Kind.FWD:
            return f"{'union' if found.union else 'struct'} {found.name}"
        if found.kind in COMPOUND:
            if found.name:
                return self._tag(found)
            body, attributes = self._body(found)
            return f"{'union' if found.kind is Kind.UNION else 'struct'} {{\n{body}}}{attributes}"
        return found.name


def _number(value: int) -> str:
    if value < -(1 << 31):
        return f"{value + 1}LL - 1"
    return str(value) if value < 1 << 31 else f"{value}U" if value < 1 << 32 else f"{value}ULL"


def declare_mentioned(btf: Btf, spoken: Mentions, *, whole: Iterable[str] = (), forward: Iterable[str] = ()) -> Declarations:
    """Declare what a text mentions. ``whole`` are structs to keep with all members, ``forward`` tags only to declare."""
    declared = Declarations(btf, spoken.identifiers, spoken.own)
    for tag in forward:
        declared.forward(tag)
    for number in sorted(btf.enums_with(spoken.identifiers - spoken.own)):
        declared.add(number)
    for name in sorted(spoken.identifiers - spoken.own):
        if (alias := btf.find(name, Kind.TYPEDEF)) is not None:
            declared.add(alias)
    for names, complete in ((whole, True), (sorted(spoken.tags - spoken.own), False)):
        for name in names:
            if (tagged := btf.find(name, *_TAGS)) is not None:
                declared.add(tagged, whole=complete)
    return declared
