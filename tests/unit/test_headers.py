"""The tree of headers for a compile without kernel headers, and which declarations a text gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from clew_agent.kernel.btf import Kind
from clew_agent.kernel.declarations import Mentions, declare_mentioned, mentions
from clew_agent.kernel.headers import CFLAGS, version_code, vmlinux_h, write_tree
from clew_agent.kernel.helper_ids import HELPER_IDS

from tests.unit.btf_builder import Builder, kernel

SOURCE = """
#include "ours.h" /* struct inode */
#define TRUE 1
struct context { u32 count; }; // struct file
enum ours { OURS_A = 1, OURS_B };
BPF_HASH(seen, u32, struct context, 1024);
static inline int helper(struct sock *sk) { return sk->__sk_common.skc_dport + "struct dentry"[0]; }
"""


def test_what_a_text_mentions() -> None:
    found = mentions([SOURCE])
    assert found.tags == {"context", "sock", "ours"}
    assert {"skc_dport", "u32", "helper"} <= found.identifiers
    assert not {"inode", "file", "dentry"} & found.identifiers
    assert found.own == {"TRUE", "context", "ours", "OURS_A", "OURS_B", "seen", "helper"}


def test_only_mentioned_members_are_declared() -> None:
    text = vmlinux_h(kernel("6.12"), [SOURCE])
    assert "skc_dport;" in text
    assert "skc_family" not in text
    assert "struct task_struct {" not in text
    assert "struct context" not in text
    assert text.count("\n") < 700


def test_what_a_member_points_to_is_declared_too() -> None:
    text = vmlinux_h(kernel("6.12"), ["int f(struct task_struct *t) { return t->real_parent->tgid; }"])
    assert "struct task_struct *real_parent;" in text
    assert "pid_t tgid;" in text


def test_the_texts_own_names_win() -> None:
    build = Builder()
    word = build.integer("unsigned int", 4)
    taken = build.compound("context", 4, ("x", word, 0))
    build.compound("holder", 12, ("inside", taken, 0), ("many", build.add(Kind.ARRAY, "", 0, taken, word, 2), 32))
    build.enum("role", 4, ("ROLE_SERVER", 9), ("OTHER", 10))
    text = "struct context { int a; }; enum role { ROLE_SERVER = 1 }; "
    text += "struct holder *h; int f(void) { return h->inside.a + h->many[0].a + OTHER; }"
    written = declare_mentioned(build.btf(), mentions([text])).text()
    assert written == (
        "struct holder;\nstruct context;\n"
        "enum {\n\tROLE_SERVER___2 = 9,\n\tOTHER = 10,\n};\n"
        "struct holder {\n\tchar inside[4];\n\tchar many[8];\n};\n"
    )


def test_two_kernel_types_of_one_name() -> None:
    build = Builder()
    word = build.integer("unsigned int", 4)
    first = build.compound("same", 4, ("a", word, 0))
    second = build.compound("same", 8, ("b", word, 32))
    build.compound("both", 16, ("one", first, 0), ("two", second, 32))
    written = declare_mentioned(build.btf(), Mentions(frozenset({"both"}), frozenset({"one", "two", "a", "b"}), frozenset())).text()
    assert "struct same one;" in written
    assert "struct same___2 two;" in written
    assert "struct same___2 {\n\tchar __pad1[4];\n\tunsigned int b;\n};" in written


@pytest.mark.parametrize(("version", "missing"), [("6.1", True), ("6.12", False)])
def test_helpers_that_the_kernel_lacks_get_their_numbers(version: str, missing: bool) -> None:
    text = vmlinux_h(kernel(version), [])
    assert ("BPF_FUNC_cgrp_storage_get = 210,\n\tBPF_FUNC_cgrp_storage_delete = 211,\n};" in text) is missing
    assert text.count("BPF_FUNC_cgrp_storage_get = 210") == 1
    assert text.count("BPF_FUNC_map_lookup_elem = 1,") == 1


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_helper_numbers_are_the_kernels(version: str) -> None:
    btf = kernel(version)
    number = btf.find("bpf_func_id", Kind.ENUM)
    theirs = dict(btf.type(number or 0).values)
    theirs.pop("__BPF_FUNC_MAX_ID")
    assert theirs.items() <= HELPER_IDS.items()
    assert len(HELPER_IDS) == 212


def test_the_tree(tmp_path: Path) -> None:
    assert write_tree(kernel("6.1"), [SOURCE], tmp_path, "6.1.0-56-amd64") == tmp_path
    include = tmp_path / "include"
    assert sorted(str(path.relative_to(include)) for path in include.rglob("*.h")) == [
        "asm/page.h",
        "linux/bpf_common.h",
        "linux/fs.h",
        "linux/kconfig.h",
        "linux/log2.h",
        "linux/sched.h",
        "linux/skbuff.h",
        "linux/types.h",
        "linux/version.h",
        "net/sock.h",
        "uapi/linux/bpf.h",
        "uapi/linux/if_ether.h",
        "uapi/linux/if_packet.h",
        "uapi/linux/ptrace.h",
        "vmlinux.h",
    ]
    assert "#define LINUX_VERSION_CODE 393472\n" in (include / "linux/version.h").read_text()
    assert "#include <vmlinux.h>\n" in (include / "linux/kconfig.h").read_text()
    assert CFLAGS == ("-D_UAPI__LINUX_BPF_H__",)


@pytest.mark.parametrize(
    ("release", "code"),
    [("6.12.107+deb13-amd64", 0x060C6B), ("6.1.0-56-amd64", 0x060100), ("4.19.325", 0x0413FF), ("7.2-rc1", 0x070200)],
)
def test_version_codes(release: str, code: int) -> None:
    assert version_code(release) == code


def test_a_release_that_is_none() -> None:
    with pytest.raises(ValueError, match="'linux' is no kernel release"):
        version_code("linux")
