"""Which functions can be hooked, why others cannot, and what a mistyped name meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from clew_agent.kernel.symbols import (
    DATA,
    Symbols,
    near_names,
    parse_filter_functions,
    parse_kallsyms,
    parse_return_trampoline,
    read_return_trampoline,
    read_symbols,
    why_not,
)

NAMES = ["tcp_sendmsg", "tcp_sendmsg_locked", "tcp_recvmsg", "udp_sendmsg", "vfs_read", "vfs_readv", "vfs_write", "__dev_queue_xmit"]
FILTERS = "tcp_sendmsg\nvfs_read\nnf_hook_in [nf_conntrack]\n"
KALLSYMS = "\n".join(
    [
        "ffffffff81000000 T tcp_sendmsg",
        "ffffffff81000010 t clone_me.isra.0",
        "ffffffff81000020 T memcpy_orig",
        "ffffffff81000030 D jiffies",
        "ffffffff81000038 T kern_path",
        "ffffffff8100003c d kern_path",
        "ffffffff81000040 t twice",
        "ffffffff81000050 t twice",
        "ffffffffc0000000 t nf_hook_in\t[nf_conntrack]",
        "",
    ]
)


@pytest.mark.parametrize(
    ("wrong", "first"),
    [("tcp_sendmesg", "tcp_sendmsg"), ("vfs_raed", "vfs_read"), ("dev_queue_xmit", "__dev_queue_xmit"), ("tcp_sendmsg", "tcp_sendmsg")],
)
def test_near_names(wrong: str, first: str) -> None:
    assert near_names(wrong, NAMES)[0] == first


def test_nothing_is_near() -> None:
    assert near_names("quux", NAMES) == []
    assert near_names("x", NAMES) == []


ASKED = ["tcp_sendmsg", "clone_me", "memcpy_orig", "nf_hook_in", "twice", "jiffies", "tcp_v4_rcv", "sendmsg", "kern_path", "twice"]


def test_reading_lists() -> None:
    assert parse_filter_functions(FILTERS, ASKED) == {"tcp_sendmsg"}
    assert parse_kallsyms(KALLSYMS, ASKED) == {
        "tcp_sendmsg": ("",),
        "clone_me.isra.0": ("",),
        "memcpy_orig": ("",),
        "twice": ("", ""),
        "jiffies": (DATA,),
        "kern_path": ("", DATA),
        "nf_hook_in": ("nf_conntrack",),
    }


SYMBOLS = Symbols(parse_filter_functions(FILTERS, ASKED), parse_kallsyms(KALLSYMS, ASKED))


@pytest.mark.parametrize(
    ("name", "described", "words"),
    [
        ("nf_hook_in", False, "is in the module nf_conntrack"),
        ("clone_me", False, "made clone_me.isra.0 of clone_me"),
        ("memcpy_orig", False, "does not describe memcpy_orig"),
        ("twice", True, "the kernel has 2 functions named twice"),
        ("tcp_v4_rcv", True, "does not let tcp_v4_rcv be traced"),
    ],
)
def test_reasons(name: str, described: bool, words: str) -> None:
    assert words in (why_not(name, described, SYMBOLS) or "")


def test_the_trampoline_of_kretprobes() -> None:
    assert parse_return_trampoline(KALLSYMS) == 0
    assert parse_return_trampoline(KALLSYMS + "ffffffff810a0010 t arch_rethook_trampoline_callback\n") == 0
    assert parse_return_trampoline(KALLSYMS + "ffffffff810a0000 T arch_rethook_trampoline\n") == 0xFFFFFFFF810A0000


def test_a_variable_of_the_same_name_hinders_kprobes_only() -> None:
    symbols = Symbols(None, SYMBOLS.modules)
    assert why_not("kern_path", True, symbols) is None
    assert "a function and a variable named kern_path" in (why_not("kern_path", True, symbols, kprobe=True) or "")
    assert why_not("jiffies", False, symbols) is None


def test_no_reason() -> None:
    assert why_not("tcp_sendmsg", True, SYMBOLS) is None
    assert why_not("anything", True, Symbols(None, None)) is None
    assert why_not("unheard_of", False, SYMBOLS) is None


def test_unreadable_lists_are_unknown(tmp_path: Path) -> None:
    filters = [tmp_path / "a", tmp_path / "b"]
    assert read_symbols(ASKED, filters, tmp_path / "c") == Symbols(None, None)
    assert read_return_trampoline(tmp_path / "c") == 0
    (tmp_path / "b").write_text(FILTERS)
    (tmp_path / "c").write_text("ffffffff81000000 T __kretprobe_trampoline\n")
    assert read_symbols(ASKED, filters, tmp_path / "c") == Symbols(frozenset({"tcp_sendmsg"}), {})
    assert read_return_trampoline(tmp_path / "c") == 0xFFFFFFFF81000000
