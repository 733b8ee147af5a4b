"""A decoder of BTF, the kernel's own description of its types: bytes in, types out.

A kernel holds some 130,000 types and a program needs a few hundred, so reading is split: one pass over the words notes where
each type begins and what it is called, and a type is decoded when it is asked for. The pass is a loop of a few operations
and takes tens of milliseconds; the names are split by one call.

The format is that of the kernel's ``Documentation/bpf/btf.rst`` and ``include/uapi/linux/btf.h``. A module's BTF is *split*:
its numbers and string offsets go on where those of vmlinux end, which is what ``base`` is for.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import accumulate, repeat
from pathlib import Path

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_HEADER = struct.Struct("=HBBIIIII")


class Kind(IntEnum):
    """``BTF_KIND_*`` of include/uapi/linux/btf.h."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


QUALIFIERS = frozenset({Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
COMPOUND = frozenset({Kind.STRUCT, Kind.UNION})
_SIZED = frozenset({Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FLOAT, Kind.DATASEC})

# Words of a type after its three common ones: a fixed number, and a number for each of its `vlen` entries.
_FIXED = [0] * 32
_EACH = [0] * 32
for _kind, _words in ((Kind.INT, 1), (Kind.ARRAY, 3), (Kind.VAR, 1), (Kind.DECL_TAG, 1)):
    _FIXED[_kind] = _words
for _kind, _words in ((Kind.STRUCT, 3), (Kind.UNION, 3), (Kind.ENUM, 2), (Kind.FUNC_PROTO, 2), (Kind.DATASEC, 3), (Kind.ENUM64, 3)):
    _EACH[_kind] = _words

_INT_SIGNED = 1
_INT_BOOL = 4


class BtfError(ValueError):
    """The bytes are no BTF that this decoder understands; the message says why."""


class NoBtfError(RuntimeError):
    """The kernel does not describe its types, so nothing can be compiled for it."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a struct or union: ``offset`` in bits from its start, ``bits`` its width when it is a bit-field, else 0."""

    name: str
    type: int
    offset: int
    bits: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function; the name is empty where the kernel's source has none."""

    name: str
    type: int


@dataclass(frozen=True, slots=True)
class Type:
    """One decoded type. Fields that its kind has not are zero or empty.

    ``size`` is in bytes. ``target`` is the number of the type that this one refers to (pointee, aliased type, array element,
    function prototype or a prototype's result); 0 is void. ``count`` is an array's length. ``union`` tells a forward declaration's kind.
    """

    number: int
    kind: Kind
    name: str
    size: int = 0
    target: int = 0
    count: int = 0
    signed: bool = False
    boolean: bool = False
    members: tuple[Member, ...] = ()
    values: tuple[tuple[str, int], ...] = ()
    parameters: tuple[Parameter, ...] = ()
    variadic: bool = False
    union: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A kernel function: its parameters in order and the number of its result's type (0: void)."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: int
    variadic: bool


VOID = Type(0, Kind.VOID, "void")


class Btf:
    """The types of one kernel, or of one module on top of its kernel's (``base``).

    Raises :class:`BtfError` when the bytes are not BTF.
    """

    def __init__(self, data: bytes, base: Btf | None = None) -> None:
        """Read the index of ``data``; types are decoded when asked for."""
        if len(data) < _HEADER.size:
            raise BtfError(f"BTF is cut: {len(data)} bytes, its header alone has {_HEADER.size}")
        magic, version, _flags, header, types_at, types_length, strings_at, strings_length = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != 1:
            raise BtfError(f"not BTF of version 1 in this machine's byte order: magic {magic:#06x}, version {version}")
        if header + types_at + types_length > len(data) or header + strings_at + strings_length > len(data) or types_length % 4:
            raise BtfError(f"BTF is cut: its sections end beyond its {len(data)} bytes")
        self._base = base
        self._words = array("I")
        self._words.frombytes(data[header + types_at : header + types_at + types_length])
        self._strings = data[header + strings_at : header + strings_at + strings_length]
        self._first = base.end if base else 1
        self._first_string = base.string_end if base else 0
        self._places = self._index()
        self._decoded: dict[int, Type] = {}

    def _index(self) -> array[int]:
        """The position of every type, in words."""
        words, fixed, each = self._words, _FIXED, _EACH
        places = array("I")
        note = places.append
        position, end = 0, len(words)
        try:
            while position < end:
                note(position)
                info = words[position + 1]
                kind = info >> 24 & 31
                position += 3 + fixed[kind] + each[kind] * (info & 0xFFFF)
        except IndexError:
            position = end + 1
        if position != end:
            raise BtfError("BTF is cut in the middle of a type")
        return places

    @property
    def end(self) -> int:
        """One more than the highest type number."""
        return self._first + len(self._places)

    @property
    def string_end(self) -> int:
        """One more than the highest string offset."""
        return self._first_string + len(self._strings)

    @cached_property
    def _by_name(self) -> dict[int, int]:
        """Type numbers by ``string offset * 32 + kind``; of several of one name the first."""
        words = self._words
        keys = [(words[place] << 5) | (words[place + 1] >> 24 & 31) for place in self._places]
        keys.reverse()
        return dict(zip(keys, range(self.end - 1, self._first - 1, -1), strict=True))

    @cached_property
    def _offsets(self) -> dict[bytes, int]:
        names = self._strings.split(b"\0")
        starts = accumulate(map(len, names), lambda at, length: at + length + 1, initial=self._first_string)
        return dict(zip(names, starts, strict=False))

    def offset_of(self, name: str) -> int | None:
        """The offset of a string in this BTF or its base, or None where no type has any such name."""
        offset = self._offsets.get(name.encode())
        return self._base.offset_of(name) if offset is None and self._base else offset

    def find(self, name: str, *kinds: Kind) -> int | None:
        """The number of the type of this name and one of these kinds; this BTF's own come before those of its base."""
        offset = self.offset_of(name)
        if offset is None or not name:
            return None
        for kind in kinds:
            number = self._by_name.get(offset << 5 | kind)
            if number is not None:
                return number
        return self._base.find(name, *kinds) if self._base else None

    def string(self, offset: int) -> str:
        """The string at an offset."""
        if offset < self._first_string:
            assert self._base is not None
            return self._base.string(offset)
        start = offset - self._first_string
        end = self._strings.find(b"\0", start)
        if end < 0:
            raise BtfError(f"a name lies outside the strings (offset {offset})")
        return self._strings[start:end].decode("utf-8", "replace")

    def type(self, number: int) -> Type:
        """The type of this number, decoded. Raises :class:`BtfError` for a number that is not there."""
        if number == 0:
            return VOID
        if number < self._first and self._base is not None:
            return self._base.type(number)
        found = self._decoded.get(number)
        if found is None:
            if not self._first <= number < self.end:
                raise BtfError(f"there is no type {number}")
            found = self._decoded[number] = self._decode(number)
        return found

    def resolve(self, number: int) -> Type:
        """The type behind any typedefs, qualifiers and tags."""
        found = self.type(number)
        while found.kind is Kind.TYPEDEF or found.kind in QUALIFIERS:
            found = self.type(found.target)
        return found

    def size_of(self, number: int) -> int:
        """The size of a type in bytes on a 64-bit kernel; 0 for void, functions and what is only declared."""
        found = self.resolve(number)
        if found.kind is Kind.PTR:
            return 8
        return found.count * self.size_of(found.target) if found.kind is Kind.ARRAY else found.size

    def function_number(self, name: str) -> int | None:
        """The number of the function of this name, or None."""
        return self.find(name, Kind.FUNC)

    def function(self, name: str) -> Function | None:
        """The function of this name, or None."""
        number = self.function_number(name)
        if number is None:
            return None
        prototype = self.type(self.type(number).target)
        return Function(name, prototype.parameters, prototype.target, prototype.variadic)

    @cached_property
    def function_names(self) -> list[str]:
        """The names of all functions of this BTF itself, sorted."""
        words = self._words
        return sorted({self.string(words[at]) for at in self._places if words[at + 1] >> 24 & 31 == Kind.FUNC})

    def enums_with(self, names: frozenset[str]) -> Iterator[int]:
        """The numbers of the enums of this BTF that hold an enumerator of one of these names."""
        wanted = {offset for offset in map(self.offset_of, names) if offset}
        words = self._words
        for number, at in enumerate(self._places, self._first):
            step = _EACH[kind] if (kind := words[at + 1] >> 24 & 31) in (Kind.ENUM, Kind.ENUM64) else 0
            if step and not wanted.isdisjoint(words[at + 3 : at + 3 + step * (words[at + 1] & 0xFFFF) : step]):
                yield number

    def _decode(self, number: int) -> Type:
        at = self._places[number - self._first]
        words = self._words
        info, third = words[at + 1], words[at + 2]
        name, flag, length = self.string(words[at]), bool(info >> 31), info & 0xFFFF
        try:
            kind = Kind(info >> 24 & 31)
        except ValueError as error:
            raise BtfError(f"type {number} is of kind {info >> 24 & 31}, which this decoder does not know") from error
        size, target = (third, 0) if kind in _SIZED else (0, third)
        body = words[at + 3 : at + 3 + _FIXED[kind] + _EACH[kind] * length]
        if kind in COMPOUND:
            members = tuple(
                Member(self.string(text), kind_of, where & 0xFFFFFF if flag else where, where >> 24 if flag else 0)
                for text, kind_of, where in zip(body[0::3], body[1::3], body[2::3], strict=True)
            )
            return Type(number, kind, name, size, members=members)
        if kind is Kind.ENUM or kind is Kind.ENUM64:
            highs = body[2::3] if kind is Kind.ENUM64 else repeat(0, length)
            step, bits = _EACH[kind], 64 if kind is Kind.ENUM64 else 32
            values = tuple(
                (self.string(text), _signed(high << 32 | low, bits) if flag else high << 32 | low)
                for text, low, high in zip(body[0::step], body[1::step], highs, strict=True)
            )
            return Type(number, kind, name, size, values=values, signed=flag)
        if kind is Kind.FUNC_PROTO:
            pairs = list(zip(body[0::2], body[1::2], strict=True))
            variadic = bool(pairs) and pairs[-1] == (0, 0)
            parameters = tuple(Parameter(self.string(text), kind_of) for text, kind_of in pairs[: len(pairs) - variadic])
            return Type(number, kind, name, target=target, parameters=parameters, variadic=variadic)
        if kind is Kind.ARRAY:
            return Type(number, kind, name, target=body[0], count=body[2])
        if kind is Kind.INT:
            encoding = body[0] >> 24 & 15
            return Type(number, kind, name, size, signed=bool(encoding & _INT_SIGNED), boolean=bool(encoding & _INT_BOOL))
        return Type(number, kind, name, size, target, union=flag)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def read_vmlinux(path: Path = VMLINUX) -> Btf:
    """The types of the running kernel. Raises :class:`NoBtfError` where it has none, saying what to do."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NoBtfError(
            f"the kernel does not describe its types: cannot read {path} ({error.strerror}). "
            "Clew needs a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian, Ubuntu, Fedora, RHEL and their like have it); "
            "in a container, mount the host's /sys"
        ) from error
    return Btf(data)
