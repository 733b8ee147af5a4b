"""The decoder of BTF, on BTF made by hand, on broken BTF, and on excerpts of two real kernels."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from clew_agent.kernel.btf import Btf, BtfError, Function, Kind, Member, NoBtfError, Parameter, read_vmlinux
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.btf_builder import Builder, kernel


def small() -> Builder:
    build = Builder()
    number = build.integer("int", 4, signed=True)
    text = build.integer("char", 1, signed=True)
    flags = build.integer("unsigned int", 4)
    pair = build.compound("pair", 8, ("a", number, 0), ("b", number, 32))
    build.compound("packed", 8, ("x", flags, 0, 3), ("y", flags, 3, 7), ("p", pair, 0, 0))
    build.add(Kind.TYPEDEF, "pair_t", build.add(Kind.CONST, "", pair))
    build.enum("colour", 4, ("RED", 1), ("NONE", -1), signed=True)
    build.enum64("wide", ("LOW", 1), ("HIGH", 1 << 40))
    build.function("work", number, ("p", build.pointer(pair)), ("", text), variadic=True)
    return build


def test_types_are_decoded() -> None:
    btf = small().btf()
    pair = btf.type(btf.find("pair", Kind.STRUCT) or 0)
    assert (pair.size, pair.members) == (8, (Member("a", 1, 0, 0), Member("b", 1, 32, 0)))
    assert btf.type(btf.find("packed", Kind.STRUCT) or 0).members[1] == Member("y", 3, 3, 7)
    assert btf.type(btf.find("colour", Kind.ENUM) or 0).values == (("RED", 1), ("NONE", -1))
    assert btf.type(btf.find("wide", Kind.ENUM64) or 0).values == (("LOW", 1), ("HIGH", 1 << 40))
    assert btf.resolve(btf.find("pair_t", Kind.TYPEDEF) or 0) is pair
    assert btf.size_of(btf.find("pair_t", Kind.TYPEDEF) or 0) == 8
    assert btf.type(0).name == "void"


def test_functions() -> None:
    btf = small().btf()
    assert btf.function("work") == Function("work", (Parameter("p", 10), Parameter("", 2)), 1, variadic=True)
    assert btf.function("pair") is None
    assert btf.function_names == ["work"]


def test_names_that_are_no_types() -> None:
    btf = small().btf()
    assert btf.find("pair", Kind.UNION) is None
    assert btf.find("nothing", Kind.STRUCT) is None
    assert btf.find("", Kind.PTR) is None
    assert list(btf.enums_with(frozenset({"HIGH", "nothing"}))) == [btf.find("wide", Kind.ENUM64)]


def test_the_first_of_several_types_of_one_name_counts() -> None:
    build = Builder()
    first = build.compound("twice", 4)
    build.compound("twice", 8)
    assert build.btf().find("twice", Kind.STRUCT) == first


def test_a_module_goes_on_where_the_kernel_ends() -> None:
    base = small().btf()
    build = Builder(base)
    own = build.compound("own", 8, ("pair", base.find("pair", Kind.STRUCT) or 0, 0))
    module = build.btf(base)
    assert own == base.end
    assert module.find("own", Kind.STRUCT) == own
    assert base.find("own", Kind.STRUCT) is None
    assert module.find("pair", Kind.STRUCT) == base.find("pair", Kind.STRUCT)
    assert module.type(module.type(own).members[0].type).name == "pair"
    assert module.function_names == []
    assert module.function("work") == base.function("work")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cut: 0 bytes"),
        (b"\x7fELF" + bytes(60), "not BTF"),
        (small().data()[:-1], "sections end beyond"),
        (struct.pack("=HBBIIIII", 0xEB9F, 2, 0, 24, 0, 0, 0, 0), "version 2"),
        (struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, 4, 0, 0) + bytes(4), "middle of a type"),
    ],
)
def test_what_is_no_btf_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(BtfError, match=words):
        Btf(data)


def test_a_kind_of_the_future_is_refused_by_number() -> None:
    build = Builder()
    build.types.append([0, 25 << 24, 0])
    with pytest.raises(BtfError, match="type 1 is of kind 25"):
        build.btf().type(1)


def test_a_number_that_is_not_there() -> None:
    with pytest.raises(BtfError, match="no type 99"):
        small().btf().type(99)


@given(st.data())
def test_broken_btf_raises_nothing_else(data: st.DataObject) -> None:
    raw = bytearray(small().data())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        btf = Btf(bytes(raw))
        for number in range(btf.end):
            btf.type(number)
    except BtfError:
        pass


def test_a_kernel_without_btf(tmp_path: Path) -> None:
    with pytest.raises(NoBtfError) as raised:
        read_vmlinux(tmp_path / "vmlinux")
    assert str(raised.value) == (
        f"the kernel does not describe its types: cannot read {tmp_path}/vmlinux (No such file or directory). Clew needs a kernel "
        "built with CONFIG_DEBUG_INFO_BTF=y (Debian, Ubuntu, Fedora, RHEL and their like have it); in a container, mount the host's /sys"
    )


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_real_kernels(version: str) -> None:
    btf = kernel(version)
    function = btf.function("tcp_sendmsg")
    assert function is not None
    assert [parameter.name for parameter in function.parameters] == ["sk", "msg", "size"]
    assert btf.resolve(function.returns).name == "int"
    sock = btf.type(btf.find("sock", Kind.STRUCT) or 0)
    assert (sock.members[0].name, sock.members[0].offset) == ("__sk_common", 0)
    common = btf.resolve(sock.members[0].type)
    assert {member.name: (member.offset, member.bits) for member in common.members if member.name in ("skc_family", "skc_reuse")} == {
        "skc_family": (128, 0),
        "skc_reuse": (152, 4),
    }
