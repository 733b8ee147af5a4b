"""Compiled texts: how they are written down, and how their programs name maps."""

from __future__ import annotations

import json
import struct

import pytest
from clew_agent.loader.compiled import Code, Compiled, CompiledError, MapShape, decode, encode, map_uses, with_maps
from hypothesis import given
from hypothesis import strategies as st

INSTRUCTION = struct.Struct("=BBhi")
MOVE = INSTRUCTION.pack(0xB7, 0x01, 0, 7)  # r1 = 7
EXIT = INSTRUCTION.pack(0x95, 0, 0, 0)


def load_map(register: int, number: int) -> bytes:
    """``r = map`` of two slots (BPF_LD_MAP_FD)."""
    return INSTRUCTION.pack(0x18, register | 1 << 4, 0, number) + INSTRUCTION.pack(0, 0, 0, 0)


def load_number(low: int, high: int) -> bytes:
    """``r = number`` of 64 bits, whose second slot may look like anything."""
    return INSTRUCTION.pack(0x18, 2, 0, low) + INSTRUCTION.pack(0x18, 0x11, 0, high)


u32 = st.integers(0, 2**32 - 1)
names = st.text(min_size=1, max_size=20)
pieces = st.lists(
    st.sampled_from([MOVE, EXIT])
    | st.builds(load_map, st.integers(0, 9), st.integers(0, 2))
    | st.builds(load_number, *[st.integers(0, 9)] * 2)
)
codes = st.builds(Code, names, pieces.map(b"".join))
maps = st.lists(st.builds(MapShape, names, u32, u32, u32, u32, u32), min_size=3, max_size=5)
texts = st.builds(Compiled, maps.map(tuple), st.lists(codes, max_size=3).map(tuple), names)


@given(texts)
def test_what_is_written_down_is_read_again(compiled: Compiled) -> None:
    assert decode(encode(compiled)) == compiled


def test_maps_are_found_where_they_are_named() -> None:
    instructions = MOVE + load_map(1, 0) + load_number(1, 5) + load_map(3, 1) + EXIT
    assert map_uses(instructions) == [1, 5]
    assert with_maps(instructions, [40, 41]) == MOVE + load_map(1, 40) + load_number(1, 5) + load_map(3, 41) + EXIT


@given(pieces.map(b"".join))
def test_descriptors_and_places_are_one_another_s_inverse(instructions: bytes) -> None:
    there = with_maps(instructions, [17, 23, 5])
    assert with_maps(there, {17: 0, 23: 1, 5: 2}) == instructions


def test_a_map_that_is_not_there_is_said() -> None:
    with pytest.raises(CompiledError, match=r"^instruction 1 names map 3, which there is not$"):
        with_maps(MOVE + load_map(1, 3), [40])


def document(**changes: object) -> str:
    shape = {"name": "m", "kind": 1, "key_size": 4, "value_size": 4, "entries": 1, "flags": 0}
    return json.dumps({"maps": [shape], "programs": [], "license": "GPL", **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        document(maps=[{"name": "m"}]),
        document(maps=[{"name": "m", "kind": -1, "key_size": 4, "value_size": 4, "entries": 1, "flags": 0}]),
        document(maps=[{"name": 3, "kind": 1, "key_size": 4, "value_size": 4, "entries": 1, "flags": 0}]),
        document(programs=[{"name": "p", "instructions": "?"}]),
        document(programs=[{"name": "p", "instructions": "AAAA"}]),  # three bytes
        encode(Compiled((), (Code("p", load_map(1, 0)),), "GPL")),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    assert decode(document()).maps[0].name == "m"
    with pytest.raises(CompiledError):
        decode(text)


@given(
    st.text()
    | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)).map(json.dumps)
)
def test_no_text_is_more_than_refused(text: str) -> None:
    with pytest.raises(CompiledError):
        decode(text)
