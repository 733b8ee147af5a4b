"""BTF made by hand for tests, and excerpts of real kernels' BTF.

``tests/unit/data/btf-*.xz`` are such excerpts. To make one again: ``python -m tests.unit.btf_builder VMLINUX_BTF OUTPUT.xz``.
"""

from __future__ import annotations

import lzma
import struct
import sys
from pathlib import Path

from clew_agent.kernel.btf import COMPOUND, Btf, Kind, Type

DATA = Path(__file__).parent / "data"


def _words(text: str) -> list[str]:
    return text.split()


TYPES = _words(
    "task_struct sock tcp_sock tcp6_sock sk_buff socket file inode msghdr net_device request bio mm_struct pt_regs bpf_func_id "
    "bpf_map_type bpf_attach_type xfrm_state tcp_options_received inet_connection_sock warn_args iphdr tcphdr ethhdr bpf_sock_ops "
    "sk_msg_md __sk_buff thread_info desc_struct gate_struct page folio slab x86_hw_tss inet6_ifaddr netlink_callback sk_psock "
    "bpf_stack_build_id "
    "filename open_how kiocb iov_iter path dentry linux_binprm user_regs_struct hd_geometry signal_struct"
)
ALIASES = _words(
    "s8 s16 s32 s64 u8 u16 u32 u64 __s8 __s16 __s32 __s64 __u8 __u16 __u32 __u64 __be16 __be32 __be64 __le16 __le32 __le64 "
    "__sum16 __wsum size_t ssize_t uintptr_t bool va_list atomic_t gfp_t loff_t work_func_t sk_read_actor_t"
)
FUNCTIONS = _words(
    "tcp_sendmsg mptcp_sendmsg tcp_recvmsg tcp_send_mss vfs_read vfs_readv vfs_write do_sys_openat2 kern_path __dev_queue_xmit "
    "tcp_close do_nanosleep kasprintf register_ftrace_direct ip_route_output_key_hash cap_capable make_kuid from_kgid __ip_append_data "
    "__tcp_send_ack __ip_queue_xmit tcp_set_state __tcp_close sk_stream_wait_close __skb_ext_del __inet_csk_reqsk_queue_drop "
    "do_ip_setsockopt strscpy"
)


class Builder:
    """Numbers types in the order of their adding, as BTF does, beginning after those of ``base``."""

    def __init__(self, base: Btf | None = None) -> None:
        self.first = base.end if base else 1
        self.string_base = base.string_end if base else 0
        self.strings = b"" if base else b"\0"
        self.offsets: dict[str, int] = {"": 0}
        self.types: list[list[int]] = []

    def text(self, name: str) -> int:
        if name not in self.offsets:
            self.offsets[name] = self.string_base + len(self.strings)
            self.strings += name.encode() + b"\0"
        return self.offsets[name]

    def add(self, kind: Kind, name: str, third: int, *body: int, count: int = 0, flag: bool = False) -> int:
        self.types.append([self.text(name), flag << 31 | kind << 24 | count, third, *(word & 0xFFFFFFFF for word in body)])
        return self.first + len(self.types) - 1

    def integer(self, name: str, size: int, *, signed: bool = False, boolean: bool = False) -> int:
        return self.add(Kind.INT, name, size, (signed | boolean << 2) << 24 | size * 8)

    def pointer(self, target: int) -> int:
        return self.add(Kind.PTR, "", target)

    def compound(self, name: str, size: int, *members: tuple[str, int, int] | tuple[str, int, int, int], kind: Kind = Kind.STRUCT) -> int:
        """Members are (name, type, bit offset[, width]); any width makes it a struct with bit-fields."""
        flag = any(len(member) == 4 for member in members)
        body = [
            word
            for member in members
            for word in (self.text(member[0]), member[1], member[2] | (member[3] << 24 if len(member) == 4 else 0))
        ]
        return self.add(kind, name, size, *body, count=len(members), flag=flag)

    def enum(self, name: str, size: int, *values: tuple[str, int], signed: bool = False) -> int:
        body = [word for text, value in values for word in (self.text(text), value)]
        return self.add(Kind.ENUM, name, size, *body, count=len(values), flag=signed)

    def enum64(self, name: str, *values: tuple[str, int], signed: bool = False) -> int:
        body = [word for text, value in values for word in (self.text(text), value, value >> 32)]
        return self.add(Kind.ENUM64, name, 8, *body, count=len(values), flag=signed)

    def function(self, name: str, returns: int, *parameters: tuple[str, int], variadic: bool = False) -> int:
        listed = [*parameters, ("", 0)] if variadic else list(parameters)
        body = [word for text, kind in listed for word in (self.text(text), kind)]
        return self.add(Kind.FUNC, name, self.add(Kind.FUNC_PROTO, "", returns, *body, count=len(listed)))

    def data(self) -> bytes:
        types = b"".join(struct.pack(f"={len(words)}I", *words) for words in self.types)
        header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self.strings))
        return header + types + self.strings

    def btf(self, base: Btf | None = None) -> Btf:
        return Btf(self.data(), base)


class _Excerpt:
    """Copies types with what they embed; what they only point to becomes a forward declaration."""

    def __init__(self, source: Btf) -> None:
        self.source = source
        self.builder = Builder()
        self.numbers: dict[tuple[int, bool], int] = {}

    def copy(self, number: int, *, behind: bool = False) -> int:
        if number == 0:
            return 0
        key = (number, behind)
        if key not in self.numbers:
            self.numbers[key] = self._write(self.source.type(number), behind)
        return self.numbers[key]

    def _write(self, found: Type, behind: bool) -> int:
        build = self.builder
        if behind and found.kind in COMPOUND and found.name:
            return build.add(Kind.FWD, found.name, 0, flag=found.kind is Kind.UNION)
        if found.kind in COMPOUND:
            wide = any(member.bits for member in found.members)
            members = [
                (m.name, self.copy(m.type), m.offset, m.bits) if wide else (m.name, self.copy(m.type), m.offset) for m in found.members
            ]
            return build.compound(found.name, found.size, *members, kind=found.kind)
        if found.kind is Kind.ENUM:
            return build.enum(found.name, found.size, *found.values, signed=found.signed)
        if found.kind is Kind.ENUM64:
            return build.enum64(found.name, *found.values, signed=found.signed)
        if found.kind is Kind.INT:
            return build.integer(found.name, found.size, signed=found.signed, boolean=found.boolean)
        if found.kind is Kind.ARRAY:
            target = self.copy(found.target)
            return build.add(Kind.ARRAY, "", 0, target, target, found.count)
        if found.kind is Kind.FUNC:
            prototype = self.source.type(found.target)
            parameters = [(p.name, self.copy(p.type, behind=True)) for p in prototype.parameters]
            return build.function(found.name, self.copy(prototype.target, behind=True), *parameters, variadic=prototype.variadic)
        if found.kind is Kind.FUNC_PROTO:
            listed = [(p.name, self.copy(p.type, behind=True)) for p in found.parameters] + [("", 0)] * found.variadic
            body = [word for text, kind in listed for word in (build.text(text), kind)]
            return build.add(Kind.FUNC_PROTO, "", self.copy(found.target, behind=True), *body, count=len(listed))
        if found.kind in (Kind.FWD, Kind.FLOAT):
            return build.add(found.kind, found.name, found.size, flag=found.union)
        return build.add(found.kind, found.name, self.copy(found.target, behind=behind or found.kind is Kind.PTR))


def excerpt(source: Btf) -> bytes:
    """The types and functions named above, those that this kernel has."""
    copier = _Excerpt(source)
    wanted = [source.find(name, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64) for name in TYPES]
    wanted += [source.find(name, Kind.TYPEDEF) for name in ALIASES]
    wanted += [source.find(name, Kind.FUNC) for name in FUNCTIONS]
    wanted += sorted(
        source.enums_with(frozenset({"true", "BPF_ANY", "BPF_F_CURRENT_CPU", "BPF_F_NO_PREALLOC", "TCP_ESTABLISHED", "SK_PASS"}))
    )
    for number in wanted:
        if number is not None:
            copier.copy(number)
    return copier.builder.data()


def kernel(version: str) -> Btf:
    """The excerpt of a real kernel, ``6.1`` or ``6.12``."""
    return Btf(lzma.decompress((DATA / f"btf-{version}.xz").read_bytes()))


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(lzma.compress(excerpt(Btf(Path(sys.argv[1]).read_bytes())), preset=9 | lzma.PRESET_EXTREME))
