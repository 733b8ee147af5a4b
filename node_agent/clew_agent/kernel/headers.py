"""The tree of headers that BCC compiles against, where a node has no kernel headers.

BCC looks for kernel headers in ``BCC_KERNEL_SOURCE`` and its own text includes a few of them. The tree that
:func:`write_tree` makes holds what they must define, taken from the kernel's BTF: ``vmlinux.h`` with the types that the
programs mention (see :mod:`clew_agent.kernel.declarations`), ``kconfig.h`` which pulls it in before all else, the kernel's
version, and empty files for the rest. Compile with :data:`CFLAGS`, which empty BCC's own copy of ``bpf.h``.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable
from pathlib import Path

from clew_agent.kernel.btf import Btf
from clew_agent.kernel.declarations import Mentions, declare_mentioned, mentions
from clew_agent.kernel.helper_ids import HELPER_IDS

CFLAGS = ("-D_UAPI__LINUX_BPF_H__",)

# Macros of include/uapi/linux/bpf.h that are no enumerators, or are none on older kernels.
_UAPI_CONSTANTS = {
    "BPF_ANY": 0,
    "BPF_NOEXIST": 1,
    "BPF_EXIST": 2,
    "BPF_F_ALLOW_OVERRIDE": 1 << 0,
    "BPF_F_ALLOW_MULTI": 1 << 1,
    "BPF_F_SLEEPABLE": 1 << 4,
    "BPF_F_INDEX_MASK": 0xFFFFFFFF,
    "BPF_F_CURRENT_CPU": 0xFFFFFFFF,
}

# What BCC's own text (src/cc/export/helpers.h, and the code that its rewriter puts in) speaks of.
_BCC_TYPES = (
    "s8 s16 s32 s64 u8 u16 u32 u64 __s8 __s16 __s32 __s64 __u8 __u16 __u32 __u64 __be16 __be32 __be64 __le16 __le32 __le64 "
    "__sum16 __wsum size_t ssize_t uintptr_t bool true false BPF_FUNC_unspec BPF_MAP_TYPE_HASH BPF_F_NO_PREALLOC "
    "BPF_F_USER_STACK BPF_F_STACK_BUILD_ID BPF_RB_NO_WAKEUP"
)
_BCC_WHOLE = ("pt_regs", "user_pt_regs", "user_regs_struct", "bpf_stack_build_id")
_BCC_FORWARD = (
    "__sk_buff bpf_cgroup_storage_key bpf_dynptr bpf_map bpf_perf_event_data bpf_pidns_info bpf_raw_tracepoint_args bpf_redir_neigh "
    "bpf_sock bpf_sock_ops bpf_sock_tuple bpf_spin_lock bpf_sysctl bpf_tcp_sock bpf_timer btf_ptr cgroup file inode iphdr ipv6hdr "
    "linux_binprm mptcp_sock path pt_regs seq_file sk_buff sk_msg_md sk_reuseport_md socket task_struct tcp6_sock tcphdr "
    "tcp_request_sock tcp_sock tcp_timewait_sock udp6_sock unix_sock xdp_md bpf_fib_lookup bpf_perf_event_value"
)
_EMPTY = (
    "linux/types.h linux/bpf_common.h uapi/linux/bpf.h uapi/linux/if_packet.h uapi/linux/if_ether.h uapi/linux/ptrace.h "
    "linux/log2.h asm/page.h net/sock.h linux/fs.h linux/sched.h linux/skbuff.h"
)

_KCONFIG = """\
#ifndef CLEW_KCONFIG_H
#define CLEW_KCONFIG_H
#define CONFIG_BPF_SYSCALL 1
#define CONFIG_CC_STACKPROTECTOR 1
#define CONFIG_ARCH_HAS_SYSCALL_WRAPPER 1
#define PAGE_SIZE {page}
#define NULL ((void *)0)
#define offsetof(type, member) __builtin_offsetof(type, member)
#define __always_inline inline __attribute__((always_inline))
#include <vmlinux.h>
#endif
"""

_VERSION = """\
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define LINUX_VERSION_CODE {code}
"""


def version_code(release: str) -> int:
    """``LINUX_VERSION_CODE`` of a release such as ``6.12.107+deb13-amd64``. Raises ``ValueError`` for what is none."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if not found:
        raise ValueError(f"{release!r} is no kernel release")
    major, minor, patch = (int(part or 0) for part in found.groups())
    return (major << 16) + (minor << 8) + min(patch, 255)


def vmlinux_h(btf: Btf, sources: Iterable[str]) -> str:
    """The header with the kernel types that C texts, and BCC's own text around them, mention."""
    spoken = mentions(sources)
    spoken = Mentions(spoken.tags, spoken.identifiers | set(_BCC_TYPES.split()), spoken.own)
    declared = declare_mentioned(btf, spoken, whole=_BCC_WHOLE, forward=[f"struct {tag}" for tag in _BCC_FORWARD.split()])
    there = declared.constants()
    missing = [f"\t{name} = {value},\n" for name, value in HELPER_IDS.items() if name not in there]
    helpers = [f"enum {{\n{''.join(missing)}}};\n"] if missing else []
    macros = [f"#define {name} {value}ULL\n" for name, value in _UAPI_CONSTANTS.items() if name not in there]
    return "".join([declared.text(), *helpers, *macros])


def write_tree(btf: Btf, sources: Iterable[str], directory: Path, release: str) -> Path:
    """Make the tree for ``BCC_KERNEL_SOURCE`` in a directory, and return that directory.

    ``sources`` are all C texts that will be compiled against it, included files too; ``release`` is the running kernel's.
    Raises ``OSError`` when the directory cannot be written.
    """
    contents = dict.fromkeys(_EMPTY.split(), "")
    contents["linux/kconfig.h"] = _KCONFIG.format(page=mmap.PAGESIZE)
    contents["linux/version.h"] = _VERSION.format(code=version_code(release))
    contents["vmlinux.h"] = vmlinux_h(btf, sources)
    for name, text in contents.items():
        path = directory / "include" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory
