"""The values that the agent writes into the programs' maps, packed as ``bpf/settings.h`` declares them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache

from clew_agent.bpf_files import bpf_source
from clew_agent.c_header import Header, HeaderError, read_header


@cache
def settings_header() -> Header:
    """``bpf/settings.h`` as read. Raises ``HeaderError`` or ``FileNotFoundError``."""
    return read_header(bpf_source("settings.h").read_text(), "settings.h")


def pack(name: str, values: Mapping[str, int | bytes]) -> bytes:
    """The bytes of ``struct name``; members that are not given are zero. Raises ``HeaderError`` for a member that is none."""
    layout = settings_header().structs[name]
    members = {member.name for member in layout.members}
    if unknown := sorted(values.keys() - members):
        raise HeaderError(f"struct {name} has no member {', '.join(unknown)}")
    zero: dict[str, int | bytes] = {member.name: 0 if member.count is None else b"" for member in layout.members}
    return struct.pack(layout.format, *(zero | dict(values)).values())
