"""A reader of the few C headers that both sides of the kernel boundary share.

``bpf/records.h`` and ``bpf/counters.h`` are the only declarations of the records and of the counters. This reader takes the
narrow C that they keep to (``#define NAME number``, ``enum``, ``struct`` of fixed-width members), computes the layouts, and
refuses anything else, so that Python can never disagree with the compiler in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SIZES: Mapping[str, tuple[str, int]] = {"u8": ("B", 1), "u16": ("H", 2), "u32": ("I", 4), "u64": ("Q", 8), "s64": ("q", 8)}
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(\d+)[ \t]*$", re.MULTILINE)
_BLOCK = re.compile(r"\b(enum|struct)\s+(\w+)\s*\{([^{}]*)\}\s*;")
_MEMBER = re.compile(r"(\w+)\s+(\w+)(?:\[(\w+)\])?")
_CONSTANT = re.compile(r"\b([A-Z][A-Z0-9_]*)\s*=\s*(\w+)\s*(?:,|\Z)")
_HELP = re.compile(r"\b([A-Z][A-Z0-9_]*)\s*=\s*\w+\s*,?[ \t]*/\*(.*?)\*/", re.DOTALL)


class HeaderError(ValueError):
    """A header breaks the rules that are written at the top of ``bpf/records.h``."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a struct. ``count`` is the length of an array of ``u8`` and ``None`` for a number; offsets are in bytes."""

    name: str
    type: str
    offset: int
    size: int
    count: int | None


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct's layout, and the same as a format of the standard library's ``struct`` module (native order, no padding)."""

    name: str
    members: tuple[Member, ...]
    size: int
    format: str

    def index(self, name: str) -> int:
        """The position of a member among the values that ``format`` unpacks."""
        for position, member in enumerate(self.members):
            if member.name == name:
                return position
        raise HeaderError(f"struct {self.name} has no member {name}")


@dataclass(frozen=True, slots=True)
class Header:
    """What one header declares. ``help`` holds the comment beside each constant of an enum."""

    defines: Mapping[str, int]
    enums: Mapping[str, Mapping[str, int]]
    structs: Mapping[str, Struct]
    help: Mapping[str, str]


def read_header(text: str, name: str = "header") -> Header:
    """Read the text of a header; ``name`` is what errors call it. Raises ``HeaderError``."""
    code = _COMMENT.sub(" ", text)
    defines = {found[1]: int(found[2]) for found in _DEFINE.finditer(code)}
    enums: dict[str, Mapping[str, int]] = {}
    structs: dict[str, Struct] = {}
    for kind, title, body in _BLOCK.findall(code):
        if kind == "enum":
            enums[title] = _read_enum(title, body, name)
        else:
            structs[title] = _read_struct(title, body, defines, name)
    left = re.sub(r"^[ \t]*#.*$", "", _BLOCK.sub("", code), flags=re.MULTILINE).strip()
    if left:
        raise HeaderError(f"{name}: only #define, enum and struct are understood, not {left.splitlines()[0].strip()!r}")
    notes = {found[1]: " ".join(found[2].split()) for found in _HELP.finditer(text)}
    return Header(defines, enums, structs, notes)


def _read_enum(title: str, body: str, name: str) -> Mapping[str, int]:
    constants: dict[str, int] = {}
    for found in _CONSTANT.finditer(body.strip()):
        if not found[2].isdecimal():
            raise HeaderError(f"{name}: enum {title}: {found[1]} = {found[2]} is no plain decimal number")
        constants[found[1]] = int(found[2])
    left = _CONSTANT.sub("", body.strip()).strip()
    if left:
        raise HeaderError(f"{name}: enum {title}: every constant needs an explicit value, which {left.split()[0].strip(',')!r} lacks")
    if len(set(constants.values())) != len(constants):
        raise HeaderError(f"{name}: enum {title}: two constants share a value")
    return constants


def _read_struct(title: str, body: str, defines: Mapping[str, int], name: str) -> Struct:
    members: list[Member] = []
    offset = 0
    formats = ["="]
    for declaration in body.split(";"):
        text = " ".join(declaration.split())
        if not text:
            continue
        member = _read_member(text, offset, defines, f"{name}: struct {title}")
        if any(other.name == member.name for other in members):
            raise HeaderError(f"{name}: struct {title}: member {member.name} is declared twice")
        members.append(member)
        formats.append(_SIZES[member.type][0] if member.count is None else f"{member.count}s")
        offset += member.size
    if offset == 0 or offset % 8:
        raise HeaderError(f"{name}: struct {title} has {offset} bytes, which is no multiple of eight: add a reserved member")
    return Struct(title, tuple(members), offset, "".join(formats))


def _read_member(text: str, offset: int, defines: Mapping[str, int], where: str) -> Member:
    found = _MEMBER.fullmatch(text)
    if found is None:
        raise HeaderError(f"{where}: cannot read the member {text!r}")
    kind, title, length = found.groups()
    if kind not in _SIZES:
        raise HeaderError(f"{where}: member {title} has the type {kind}; allowed are {', '.join(_SIZES)} and arrays of u8")
    width = _SIZES[kind][1]
    if offset % width:
        raise HeaderError(f"{where}: member {title} at offset {offset} would need padding before it")
    if length is None:
        return Member(title, kind, offset, width, None)
    if kind != "u8":
        raise HeaderError(f"{where}: member {title} is an array of {kind}; only arrays of u8 are allowed")
    count = int(length) if length.isdecimal() else defines.get(length)
    if not count:
        raise HeaderError(f"{where}: the length {length} of member {title} is neither a positive number nor a #define before it")
    return Member(title, kind, offset, count, count)
