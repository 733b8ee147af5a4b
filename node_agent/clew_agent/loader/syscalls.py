"""The bpf system call, for the little that the agent does itself once BCC's process has ended (bpf(2)).

Libraries that wrap it bring a compiler or libbpf's own loader with them; five commands need neither.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Container
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBER = {"x86_64": 321, "aarch64": 280}

_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE = 0, 1, 2, 3
_PROG_ATTACH, _LINK_CREATE = 8, 28

SOCK_OPS = 3
"""``BPF_CGROUP_SOCK_OPS`` of enum bpf_attach_type."""

SK_MSG_VERDICT = 7
"""``BPF_SK_MSG_VERDICT`` of enum bpf_attach_type."""

SOCKHASH = 18
"""``BPF_MAP_TYPE_SOCKHASH``."""


def _bpf(command: int, attributes: bytes) -> int:
    number = _NUMBER.get(platform.machine())
    if number is None:
        raise OSError(f"the bpf system call's number on {platform.machine()} is not known")
    size = max(len(attributes), 128)
    buffer = ctypes.create_string_buffer(attributes, size)
    result: int = _LIBC.syscall(number, command, buffer, size)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def _element(map_descriptor: int, key: bytes, value: ctypes.Array[ctypes.c_char], flags: int) -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    held = ctypes.create_string_buffer(key, len(key))
    return struct.pack("=I4xQQQ", map_descriptor, ctypes.addressof(held), ctypes.addressof(value), flags), held


def create_sockhash(entries: int) -> int:
    """A sockhash of its own, keyed by ``u64``. Returns its descriptor; raises ``OSError``."""
    return _bpf(_MAP_CREATE, struct.pack("=IIII", SOCKHASH, 8, 4, entries))


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
    """What the kernel tells of a map (``/proc/self/fdinfo``): ``max_entries``, ``value_size`` and so on."""
    return _info(descriptor, {"max_entries", "value_size", "key_size"})


def program_info(descriptor: int) -> dict[str, int]:
    """What the kernel tells of a program: ``verified_insns`` (instructions that the verifier walked, of a million at most; since
    5.16) and ``recursion_misses`` (runs that were left out, since the program was running on that CPU; since 5.12)."""
    return _info(descriptor, {"verified_insns", "recursion_misses"})


def _info(descriptor: int, wanted: Container[str]) -> dict[str, int]:
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    pairs = (line.partition(":")[::2] for line in lines)
    return {name: int(value, 0) for name, value in pairs if name in wanted}


def possible_cpus() -> int:
    """How many values an element of a per-CPU map has (``/sys/devices/system/cpu/possible``)."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        ranges = file.read().strip()
    return max(int(part.split("-")[-1]) for part in ranges.split(",")) + 1
