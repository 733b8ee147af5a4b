"""What the kernel's programs are made of on this kernel: which files, with which definitions, and which maps the agent needs.

Pure: facts about the kernel come in, a load request goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from clew_agent.functions.codegen import Generated, Hook
from clew_agent.functions.planning import Mode
from clew_agent.kernel.btf import Btf, Kind
from clew_agent.kernel.headers import CFLAGS
from clew_agent.loader.compiled import Source
from clew_agent.loader.load import Request
from clew_agent.loader.source import assemble
from clew_agent.loader.syscalls import ProgramKind

REQUEST_PATH = ("connections.c", "threads.c", "answer.c", "receive.c", "respond.c", "inject.c", "observe.c", "splice.c")
"""The files of the request path, in the order in which one text holds them."""

FIONREAD_FIX = "fionread.c"

# Those of the request path alone that the agent reads or writes.
_PATH_MAPS = ["pod_policies", "connections", "pod_scopes", "sockets"]
# Those that the request path and the functions' programs have in common.
_SHARED = [
    "settings",
    "policies",
    "allowances",
    "counters",
    "records",
    "sequences",
    "contexts",
    "tracestates",
    "units",
    "processes",
]
FUNCTION_MAPS = ("function_stacks", "function_settings", "function_calls")
"""Maps that all functions' programs have in common; the first that are loaded bring them."""
_PROGRAMS = {"clew_connection": ProgramKind.SOCK_OPS, "clew_inject": ProgramKind.SK_MSG}
_CALLED = {"clew_answer": "kretfunc__vmlinux__sock_recvmsg"}
_TAIL_CALLS = {
    "receive_again": "kretfunc__vmlinux__sock_recvmsg",
    "read_answer": "clew_answer",
    "respond_again": "kretfunc__vmlinux__tcp_sendmsg",
    "inject_again": "clew_inject",
    "observe_again": "kfunc__vmlinux__tcp_sendmsg",
}
REQUIRED = ("sock_recvmsg", "tcp_sendmsg", "tcp_bpf_sendmsg", "tcp_close", "tcp_splice_read", "alloc_pid")
"""Kernel functions that the request path must hook."""

PATH_HOOKS = frozenset({*REQUIRED, "tcp_sendpage", "tcp_bpf_sendpage", "inet_ioctl"})
"""All that it hooks, on one kernel or another, by fexit or fentry."""


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


def path_text(read: Callable[[str], str], *, fionread: bool) -> str:
    """The C text of the request path. ``read`` gives a file of ``bpf/``."""
    return assemble([*REQUEST_PATH, *([FIONREAD_FIX] if fionread else [])], read)


def functions_text(read: Callable[[str], str], generated: Generated) -> str:
    """The C text of the functions' programs, with the headers of ``bpf/`` that it asks for."""
    return assemble(["functions.c"], lambda name: generated.text if name == "functions.c" else read(name))


def definitions(kernel: Kernel) -> list[str]:
    """The compiler flags that tell the C text what kernel it is for."""
    flags = [*CFLAGS, f"-DIOV_MEMBER={kernel.iov_member}"]
    return [*flags, "-DHAVE_TCP_SENDPAGE"] if kernel.has_tcp_sendpage else flags


def _source(text: str, kernel: Kernel, tree: Path) -> Source:
    return Source(text, [*definitions(kernel), "-Wno-everything"], str(tree))


def path_request(text: str, kernel: Kernel, tree: Path) -> Request:
    """All that the loader is told to load the request path."""
    return Request(
        source=_source(text, kernel, tree),
        maps=[*_PATH_MAPS, *_SHARED, *_TAIL_CALLS],
        programs=dict(_PROGRAMS),
        called=dict(_CALLED),
        tail_calls=dict(_TAIL_CALLS),
    )


def functions_request(text: str, kernel: Kernel, hooks: Sequence[Hook], tree: Path, there: Collection[str]) -> Request:
    """All that it is told to load functions' programs. ``there`` are the names of the maps that are in the kernel already."""
    shared = [*_SHARED, *(name for name in FUNCTION_MAPS if name in there)]
    return Request(
        source=_source(text, kernel, tree),
        maps=[name for name in FUNCTION_MAPS if name not in there],
        shared=shared,
        # A kprobe before its kretprobe: of two probes at one place the kernel runs the younger first, and the entry looks whether the
        # kretprobe has its trampoline in place.
        kprobes=[
            entry
            for hook in hooks
            if hook.key.mode is Mode.KPROBE
            for entry in ((hook.entry, hook.key.function, False), (hook.exit, hook.key.function, True))
        ],
    )
