"""What is compiled, and what it becomes: maps to be made, and programs whose instructions name those maps.

Pure: nothing here speaks to the kernel. A text that is compiled can be kept as a file (:mod:`clew_agent.loader.cache`).
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

_INSTRUCTION = struct.Struct("=BBhi")  # struct bpf_insn of linux/bpf.h: code, registers, offset, immediate
_LOAD_64 = 0x18  # BPF_LD | BPF_DW | BPF_IMM; the instruction has two slots
_PSEUDO_MAP_FD = 1  # BPF_PSEUDO_MAP_FD, in the source register: the immediate is a map's descriptor
_DESTINATION = 0x0F


class CompiledError(ValueError):
    """This is no compiled text."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is compiled: a C text, the compiler's flags, and the folder with the headers that BCC takes for the kernel's."""

    text: str
    cflags: list[str]
    tree: str

    def encode(self) -> str:
        """As the compiler is given it."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class MapShape:
    """A map as the text declares it. ``kind`` is of enum bpf_map_type; sizes are in bytes."""

    name: str
    kind: int
    key_size: int
    value_size: int
    entries: int
    flags: int


@dataclass(frozen=True, slots=True)
class Code:
    """A program: the name of its C function, its instructions (``struct bpf_insn``), in which a map is its place in ``Compiled.maps``."""

    name: str
    instructions: bytes


@dataclass(frozen=True, slots=True)
class Compiled:
    """All maps and programs of a text, in its order, and its licence."""

    maps: tuple[MapShape, ...]
    programs: tuple[Code, ...]
    license: str


def map_uses(instructions: bytes) -> list[int]:
    """Where in the instructions a map is named: the number of each such instruction. Raises :class:`CompiledError`."""
    if len(instructions) % _INSTRUCTION.size:
        raise CompiledError(f"{len(instructions)} bytes are no whole instructions")
    found, skip = [], False
    for number, (code, registers, _, _) in enumerate(_INSTRUCTION.iter_unpack(instructions)):
        if not skip and code == _LOAD_64 and registers >> 4 == _PSEUDO_MAP_FD:
            found.append(number)
        skip = not skip and code == _LOAD_64
    return found


def with_maps(instructions: bytes, numbers: Mapping[int, int] | Sequence[int]) -> bytes:
    """The instructions with another number for each map: a place for a descriptor, or the other way. Raises :class:`CompiledError`."""
    changed = bytearray(instructions)
    for number in map_uses(instructions):
        at = number * _INSTRUCTION.size
        code, registers, offset, was = _INSTRUCTION.unpack_from(instructions, at)
        try:
            now = numbers[was]
        except LookupError:
            raise CompiledError(f"instruction {number} names map {was}, which there is not") from None
        _INSTRUCTION.pack_into(changed, at, code, registers & _DESTINATION | _PSEUDO_MAP_FD << 4, offset, now)
    return bytes(changed)


def encode(compiled: Compiled) -> str:
    """As JSON."""
    programs = [{"name": one.name, "instructions": base64.b64encode(one.instructions).decode()} for one in compiled.programs]
    return json.dumps({"maps": [asdict(one) for one in compiled.maps], "programs": programs, "license": compiled.license})


def decode(text: str) -> Compiled:
    """What :func:`encode` made. Raises :class:`CompiledError` for anything else, also where a program names a map that is not there."""
    try:
        found = json.loads(text)
        maps = tuple(MapShape(**one) for one in found["maps"])
        programs = tuple(Code(str(one["name"]), base64.b64decode(one["instructions"], validate=True)) for one in found["programs"])
        compiled = Compiled(maps, programs, str(found["license"]))
    except (ValueError, TypeError, KeyError) as error:
        raise CompiledError(f"this is no compiled text: {error}") from error
    for one in maps:
        numbers = (one.kind, one.key_size, one.value_size, one.entries, one.flags)
        if not isinstance(one.name, str) or not all(isinstance(number, int) and 0 <= number < 1 << 32 for number in numbers):
            raise CompiledError(f"this is no map: {one}")
    for code in programs:
        with_maps(code.instructions, range(len(maps)))
    return compiled
