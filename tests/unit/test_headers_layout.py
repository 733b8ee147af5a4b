"""The declarations that are written from BTF have the layout that BTF says: a C compiler judges."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from clew_agent.kernel.btf import COMPOUND, Btf, Kind, Type
from clew_agent.kernel.declarations import Declarations

from tests.unit.btf_builder import Builder, kernel

CHECK = """
int printf(const char *, ...);
static int bad;
static void check(unsigned char *bytes, unsigned size, unsigned offset, unsigned width, const char *what)
{
	for (unsigned bit = 0; bit < size * 8; bit++) {
		int set = bytes[bit / 8] >> (bit % 8) & 1;
		if (set != (bit >= offset && bit < offset + width)) {
			printf("%s: bit %u\\n", what, bit);
			bad = 1;
			return;
		}
	}
}
"""


def tag(found: Type) -> str:
    return f"{'union' if found.kind is Kind.UNION else 'struct'} {found.name}"


def claims(btf: Btf, owner: Type, inner: Type, base: int, prefix: str, kept: frozenset[str] | None) -> tuple[list[str], list[str]]:
    """What must be true of the members: assertions, and statements that set a bit-field and look where it is."""
    fixed: list[str] = []
    bits: list[str] = []
    name = tag(owner)
    for member in inner.members:
        found = btf.resolve(member.type)
        nested = found.kind in COMPOUND and not btf.type(member.type).name
        at = base + member.offset
        if member.name and kept is not None and member.name not in kept:
            continue
        if member.bits:
            one = f"static union {{ {name} s; unsigned char c[sizeof({name})]; }} u; u.s.{prefix}{member.name} = -1;"
            bits.append(f'{{ {one} check(u.c, sizeof(u), {at}, {member.bits}, "{name}.{prefix}{member.name}"); }}')
        elif member.name:
            path = f"{prefix}{member.name}"
            fixed.append(f'_Static_assert(__builtin_offsetof({name}, {path}) == {at // 8}, "{name}.{path}");')
            fixed.append(f'_Static_assert(sizeof((({name} *)0)->{path}) == {btf.size_of(member.type)}, "size of {name}.{path}");')
        if nested:
            more = claims(btf, owner, found, at, f"{prefix}{member.name}." if member.name else prefix, kept)
            fixed += more[0]
            bits += more[1]
    return fixed, bits


def judge(btf: Btf, declared: Declarations, kept: frozenset[str] | None, folder: Path) -> tuple[int, int]:
    """Compile and run; returns how many assertions and bit-fields were looked at."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "these tests need a C compiler (cc, gcc or clang)"
    text = declared.text()
    fixed: list[str] = []
    bits: list[str] = []
    for number in range(1, btf.end):
        found = btf.type(number)
        if found.kind in COMPOUND and found.name and btf.find(found.name, found.kind) == number and f"{tag(found)} {{" in text:
            fixed.append(f'_Static_assert(sizeof({tag(found)}) == {found.size}, "size of {tag(found)}");')
            more = claims(btf, found, found, 0, "", kept)
            fixed += more[0]
            bits += more[1]
        elif found.kind in (Kind.ENUM, Kind.ENUM64) and found.name and f"enum {found.name} {{" in text:
            fixed.append(f'_Static_assert(sizeof(enum {found.name}) == {found.size}, "size of enum {found.name}");')
    source, program = folder / "layout.c", folder / "layout"
    source.write_text("\n".join([text, *fixed, CHECK, "int main(void) {", *bits, "return bad; }"]))
    compiled = subprocess.run([compiler, "-w", "-o", program, source], capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr[:4000]
    ran = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")
    return len(fixed), len(bits)


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_all_members_of_real_structs(version: str, tmp_path: Path) -> None:
    btf = kernel(version)
    declared = Declarations(btf, None)
    for number in range(1, btf.end):
        found = btf.type(number)
        if found.name and found.kind in (*COMPOUND, Kind.ENUM, Kind.ENUM64, Kind.TYPEDEF):
            declared.add(number)
    fixed, bits = judge(btf, declared, None, tmp_path)
    assert fixed > 4000
    assert bits > 200


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_chosen_members_of_real_structs(version: str, tmp_path: Path) -> None:
    btf = kernel(version)
    kept = frozenset(
        {
            "__sk_common",
            "skc_dport",
            "skc_reuseport",
            "sk_socket",
            "tgid",
            "real_parent",
            "iov",
            "f_flags",
            "state",
            "rcv_nxt",
            "pid",
            "cloned",
            "in6_u",
            "u6_addr8",
        }
    )
    declared = Declarations(btf, kept)
    for name in ("sock", "tcp_sock", "task_struct", "sk_buff", "msghdr", "socket", "file"):
        declared.add(btf.find(name, Kind.STRUCT) or 0)
    fixed, bits = judge(btf, declared, kept, tmp_path)
    assert fixed > 20
    assert bits >= 2
    assert declared.text().count("\n") < 400


def test_shapes_that_are_rare(tmp_path: Path) -> None:
    build = Builder()
    byte, word, long = build.integer("unsigned char", 1), build.integer("unsigned int", 4), build.integer("long unsigned int", 8)
    build.compound("straddles", 5, ("a", word, 4, 30), ("b", byte, 34, 6))
    build.compound("misaligned", 9, ("a", byte, 0), ("b", long, 8))
    build.compound("hole", 24, ("a", byte, 0), ("b", byte, 72), ("c", long, 128))
    build.compound("gap_in_bits", 8, ("a", word, 1, 2), ("b", word, 29, 3), ("c", word, 35, 1))
    build.compound("nothing", 0)
    build.compound("either", 16, ("a", byte, 0), ("b", long, 0), kind=Kind.UNION)
    inner = build.compound("", 8, ("x", word, 0), ("y", word, 32))
    build.compound("outer", 24, ("", inner, 0), ("named", inner, 64), ("tail", build.add(Kind.ARRAY, "", 0, long, long, 0), 192))
    build.enum("tiny", 1, ("T1", 1), ("T2", 255))
    build.enum("small", 2, ("S1", 1))
    build.enum64("big", ("B1", 1 << 40), ("B2", -(1 << 63)), signed=True)
    build.enum64("wide_but_low", ("W1", 1))
    build.enum("again", 4, ("T1", 7), ("HIGH", 0xFFFFFFFF))
    prototype = build.add(Kind.FUNC_PROTO, "", word, 0, build.pointer(inner), 0, 0, count=2)
    build.compound(
        "calls", 16, ("f", build.pointer(prototype), 0), ("list", build.pointer(build.add(Kind.ARRAY, "", 0, long, long, 4)), 64)
    )
    btf = build.btf()
    declared = Declarations(btf, None)
    for number in range(1, btf.end):
        if btf.type(number).name and btf.type(number).kind is not Kind.INT:
            declared.add(number)
    assert judge(btf, declared, None, tmp_path) == (43, 5)
    assert "T1___2 = 7" in declared.text()
