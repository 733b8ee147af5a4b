"""Makes a map of the shape that a text declares.

Maps that hang on sockets or tasks must say of which types their keys and values are (bpf_local_storage_map_check_btf of
kernel/bpf/bpf_local_storage.c). The kernel looks at the types' sizes, so a number and a struct of bytes are told.
"""

from __future__ import annotations

import os
import struct

from clew_agent.loader import syscalls
from clew_agent.loader.compiled import MapShape

_LOCAL_STORAGE = (24, 28, 29, 32)  # BPF_MAP_TYPE_SK_STORAGE, INODE_STORAGE, TASK_STORAGE, CGRP_STORAGE
_INT, _ARRAY, _STRUCT = 1, 3, 4  # BTF_KIND_*
_KEY, _BYTE, _BYTES, _VALUE = 1, 2, 3, 4  # the types' numbers, in their order
_STRINGS = b"\0int\0u8\0value\0data\0"


def make_map(shape: MapShape) -> int:
    """Make it. Returns its descriptor; raises ``OSError``."""
    plain = (shape.kind, shape.name, shape.key_size, shape.value_size, shape.entries, shape.flags)
    if shape.kind not in _LOCAL_STORAGE:
        return syscalls.create_map(*plain)
    types = syscalls.load_btf(storage_types(shape.value_size))
    try:
        return syscalls.create_map(*plain, (types, _KEY, _VALUE))
    finally:
        os.close(types)


def storage_types(value_size: int) -> bytes:
    """BTF (Documentation/bpf/btf.rst) of a key that is an ``int`` and a value that is a struct of so many bytes."""
    types = b"".join(
        (
            struct.pack("=IIII", _STRINGS.index(b"int"), _INT << 24, 4, 32),
            struct.pack("=IIII", _STRINGS.index(b"u8"), _INT << 24, 1, 8),
            struct.pack("=IIIIII", 0, _ARRAY << 24, 0, _BYTE, _KEY, value_size),
            struct.pack("=IIIIII", _STRINGS.index(b"value"), _STRUCT << 24 | 1, value_size, _STRINGS.index(b"data"), _BYTES, 0),
        )
    )
    return struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(_STRINGS)) + types + _STRINGS
