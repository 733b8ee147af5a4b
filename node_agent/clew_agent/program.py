"""What the kernel's programs are made of on this kernel: which files, with which definitions, and which maps the agent needs.

Pure: facts about the kernel come in, a load request goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clew_agent.functions.codegen import Generated
from clew_agent.functions.planning import Mode
from clew_agent.kernel.btf import Btf, Kind
from clew_agent.kernel.headers import CFLAGS
from clew_agent.loader.protocol import Request
from clew_agent.loader.source import assemble

REQUEST_PATH = ("connections.c", "threads.c", "receive.c", "answer.c", "respond.c", "inject.c", "splice.c")
"""The files of the request path, in the order in which one text holds them."""

FIONREAD_FIX = "fionread.c"

# Those that the agent reads or writes, and the program arrays.
_MAPS = ["settings", "policies", "counters", "records", "connections", "pod_scopes", "sockets"]
_PROGRAMS = {"clew_connection": "sock_ops", "clew_inject": "sk_msg"}
_TAIL_CALLS = {
    "receive_again": "kretfunc__vmlinux__sock_recvmsg",
    "answer_again": "kretfunc__vmlinux__tcp_bpf_recvmsg",
    "respond_again": "kretfunc__vmlinux__tcp_sendmsg",
    "inject_again": "clew_inject",
}
REQUIRED = ("sock_recvmsg", "tcp_bpf_recvmsg", "tcp_sendmsg", "tcp_bpf_sendmsg", "tcp_close", "tcp_splice_read", "alloc_pid")
"""Kernel functions that the request path hooks."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What differs between kernels, as read from BTF."""

    iov_member: str
    has_tcp_sendpage: bool
    lacking: tuple[str, ...]


def inspect(btf: Btf) -> Kernel:
    """Read the differences from the kernel's BTF."""
    iterator = btf.find("iov_iter", Kind.STRUCT)
    names = set() if iterator is None else set(_member_names(btf, iterator))
    return Kernel(
        iov_member="__iov" if "__iov" in names else "iov",
        has_tcp_sendpage=btf.function("tcp_sendpage") is not None,
        lacking=tuple(name for name in REQUIRED if btf.function(name) is None),
    )


def _member_names(btf: Btf, number: int) -> list[str]:
    found: list[str] = []
    for member in btf.type(number).members:
        found += [member.name] if member.name else _member_names(btf, member.type)
    return found


def source_text(read: Callable[[str], str], generated: Generated | None, *, fionread: bool) -> str:
    """The C text of the request path and of the functions' programs. ``read`` gives a file of ``bpf/``."""
    names = [*REQUEST_PATH, *([FIONREAD_FIX] if fionread else [])]
    if generated is None or not generated.hooks:
        return assemble(names, read)

    def with_functions(name: str) -> str:
        return generated.text if name == "functions.c" else read(name)

    return assemble([*names, "functions.c"], with_functions)


def definitions(kernel: Kernel) -> list[str]:
    """The compiler flags that tell the C text what kernel it is for."""
    flags = [*CFLAGS, f"-DIOV_MEMBER={kernel.iov_member}"]
    return [*flags, "-DHAVE_TCP_SENDPAGE"] if kernel.has_tcp_sendpage else flags


def load_request(text: str, kernel: Kernel, generated: Generated | None, tree: Path, debug: int = 0) -> Request:
    """All that the loader's child is told."""
    kprobes: Sequence[tuple[str, str, bool]] = [
        entry
        for hook in (generated.hooks if generated else ())
        if hook.mode is Mode.KPROBE
        for entry in ((hook.entry, hook.function, False), (hook.exit, hook.function, True))
    ]
    return Request(
        text=text,
        cflags=[*definitions(kernel), "-Wno-everything"],
        tree=str(tree),
        maps=[*_MAPS, *_TAIL_CALLS],
        programs=dict(_PROGRAMS),
        tail_calls=dict(_TAIL_CALLS),
        kprobes=list(kprobes),
        debug=debug,
    )
