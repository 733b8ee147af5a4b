"""The bpf system call: maps, programs and what attaches them (bpf(2)).

Libraries that wrap it bring a compiler or libbpf's own loader with them; a few commands need neither.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Container
from enum import IntEnum
from functools import cache
from pathlib import Path

from clew_agent.system_call import system_call

_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE = 0, 1, 2, 3
_PROG_LOAD, _PROG_ATTACH, _RAW_TRACEPOINT_OPEN, _BTF_LOAD, _LINK_CREATE = 5, 8, 17, 18, 28
_NAME_LENGTH = 15  # BPF_OBJ_NAME_LEN without its end
_LOG_SIZE = 16 << 20  # bytes

SOCK_OPS = 3
"""``BPF_CGROUP_SOCK_OPS`` of enum bpf_attach_type."""

SK_MSG_VERDICT = 7
"""``BPF_SK_MSG_VERDICT`` of enum bpf_attach_type."""

TRACE_FENTRY, TRACE_FEXIT = 24, 25
"""``BPF_TRACE_FENTRY`` and ``BPF_TRACE_FEXIT`` of enum bpf_attach_type."""

SOCKHASH = 18
"""``BPF_MAP_TYPE_SOCKHASH``."""


class ProgramKind(IntEnum):
    """The kinds of programs there are here, of enum bpf_prog_type."""

    KPROBE = 2
    SOCK_OPS = 13
    SK_MSG = 16
    RAW_TRACEPOINT = 17
    TRACING = 26


class VerifierError(OSError):
    """The kernel did not load a program; ``said`` is what the verifier said of it, its end last."""

    said: str = ""


def _bpf(command: int, attributes: bytes) -> int:
    size = max(len(attributes), 128)
    return system_call("bpf", command, ctypes.create_string_buffer(attributes, size), size)


def _element(map_descriptor: int, key: bytes, value: ctypes.Array[ctypes.c_char], flags: int) -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    held = ctypes.create_string_buffer(key, len(key))
    return struct.pack("=I4xQQQ", map_descriptor, ctypes.addressof(held), ctypes.addressof(value), flags), held


def create_sockhash(entries: int) -> int:
    """A sockhash of its own, keyed by ``u64``. Returns its descriptor; raises ``OSError``."""
    return create_map(SOCKHASH, "", 8, 4, entries, 0)


def create_map(
    kind: int, name: str, key_size: int, value_size: int, entries: int, flags: int, btf: tuple[int, int, int] = (0, 0, 0)
) -> int:
    """A map. ``btf``: the descriptor of types, the number of the key's and that of the value's.

    Returns its descriptor; raises ``OSError``.
    """
    shape = struct.pack("=IIIII8x16sI", kind, key_size, value_size, entries, flags, _object_name(name), 0)
    return _bpf(_MAP_CREATE, shape + struct.pack("=III", *btf))


def load_btf(data: bytes) -> int:
    """Types for maps. Returns a descriptor; raises ``OSError``."""
    held = ctypes.create_string_buffer(data, len(data))
    return _bpf(_BTF_LOAD, struct.pack("=QQI", ctypes.addressof(held), 0, len(data)))


def load_program(kind: ProgramKind, name: str, instructions: bytes, license: str, attach_type: int = 0, target: int = 0) -> int:
    """Have the kernel verify a program and take it. ``target`` is the number of the kernel function in the kernel's BTF, for one that
    is hooked there. Returns a descriptor; raises :class:`VerifierError`."""
    code, text = ctypes.create_string_buffer(instructions, len(instructions)), ctypes.create_string_buffer(license.encode())

    def attempt(log: ctypes.Array[ctypes.c_char] | None) -> int:
        level, size, place = (1, len(log), ctypes.addressof(log)) if log else (0, 0, 0)
        count = len(instructions) // 8
        head = struct.pack("=IIQQIIQ", kind, count, ctypes.addressof(code), ctypes.addressof(text), level, size, place)
        rest = struct.pack("=8x16s4xI36xI4x", _object_name(name), attach_type, target)
        return _bpf(_PROG_LOAD, head + rest)

    try:
        return attempt(None)
    except OSError:
        log = ctypes.create_string_buffer(_LOG_SIZE)
    try:  # again, for its reasons, which take time to write
        return attempt(log)
    except OSError as error:
        refused = VerifierError(error.errno, error.strerror)
        refused.said = log.value.decode(errors="replace").strip()
        raise refused from error


def open_raw_tracepoint(program: int, tracepoint: str = "") -> int:
    """Have a program run: at a raw tracepoint, or, of the kind TRACING, where it was loaded for. Returns the descriptor of what holds
    it there: closing it detaches. Raises ``OSError``."""
    held = ctypes.create_string_buffer(tracepoint.encode())
    return _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QI4x", ctypes.addressof(held) if tracepoint else 0, program))


def _object_name(name: str) -> bytes:
    return name.encode()[:_NAME_LENGTH]


def update(map_descriptor: int, key: bytes, value: bytes, *, only_new: bool = False) -> None:
    """Set one element; with ``only_new``, one that is not there. Raises ``OSError`` (EEXIST: it is there)."""
    data = ctypes.create_string_buffer(value, len(value))
    attributes, held = _element(map_descriptor, key, data, 1 if only_new else 0)
    _bpf(_MAP_UPDATE, attributes)
    del held


def lookup(map_descriptor: int, key: bytes, size: int) -> bytes:
    """The value of one element, of ``size`` bytes (of a per-CPU map: all CPUs'). Raises ``OSError`` (ENOENT: none)."""
    data = ctypes.create_string_buffer(size)
    attributes, held = _element(map_descriptor, key, data, 0)
    _bpf(_MAP_LOOKUP, attributes)
    del held
    return data.raw


def lookup_per_cpu(map_descriptor: int, index: int, format: str) -> tuple[int, ...]:
    """The values, one a CPU, of an element of a per-CPU array of eight-byte numbers (``struct``'s ``Q`` or ``q``). Raises ``OSError``."""
    cpus = possible_cpus()
    return struct.unpack(f"={cpus}{format}", lookup(map_descriptor, struct.pack("=I", index), 8 * cpus))


def delete(map_descriptor: int, key: bytes) -> None:
    """Take one element out. Raises ``OSError`` (ENOENT: it is not there)."""
    held = ctypes.create_string_buffer(key, len(key))
    _bpf(_MAP_DELETE, struct.pack("=I4xQ", map_descriptor, ctypes.addressof(held)))


def attach_to_map(program: int, map_descriptor: int) -> None:
    """Attach an sk_msg program to a sockhash. It goes with the map. Raises ``OSError``."""
    _bpf(_PROG_ATTACH, struct.pack("=IIII", map_descriptor, program, SK_MSG_VERDICT, 0))


def link_to_cgroup(program: int, cgroup: int) -> int:
    """Attach a sock_ops program to a cgroup by a link. Returns the link's descriptor: closing it detaches. Raises ``OSError``."""
    return _bpf(_LINK_CREATE, struct.pack("=IIII", program, cgroup, SOCK_OPS, 0))


def map_info(descriptor: int) -> dict[str, int]:
    """What the kernel tells of a map (``/proc/self/fdinfo``): ``map_type``, ``max_entries``, ``value_size`` and so on."""
    return _info(descriptor, {"map_type", "key_size", "value_size", "max_entries", "map_flags"})


def program_info(descriptor: int) -> dict[str, int]:
    """What the kernel tells of a program: ``verified_insns`` (instructions that the verifier walked, of a million at most; since
    5.16) and ``recursion_misses`` (runs that were left out, since the program was running on that CPU; since 5.12)."""
    return _info(descriptor, {"verified_insns", "recursion_misses"})


def _info(descriptor: int, wanted: Container[str]) -> dict[str, int]:
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    pairs = (line.partition(":")[::2] for line in lines)
    return {name: int(value, 0) for name, value in pairs if name in wanted}


@cache
def possible_cpus() -> int:
    """How many values an element of a per-CPU map has (``/sys/devices/system/cpu/possible``, which stays the same until the next boot)."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        ranges = file.read().strip()
    return max(int(part.split("-")[-1]) for part in ranges.split(",")) + 1
