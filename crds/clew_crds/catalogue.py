"""Named sets of kernel functions: what a policy's ``set:`` stands for.

One row a set. A function is listed only if it runs in the thread that works for the request (no softirq, no workqueue) and has
the parameters named here, by BTF, on every supported kernel (6.1 and 6.12). Sockets that Clew follows send through
``tcp_bpf_sendmsg`` (a sockhash replaces their ``sendmsg``), which is why it stands beside ``tcp_sendmsg``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clew_crds.functions import Argument, KernelFunction


@dataclass(frozen=True, slots=True)
class FunctionSet:
    """A set of the catalogue: what it shows, and its functions in the order of the request's way through the kernel."""

    purpose: str
    functions: tuple[KernelFunction, ...]


def _function(name: str, *arguments: str, returns: bool = True, strings: tuple[str, ...] = ()) -> KernelFunction:
    read = [Argument.model_validate({"name": one}) for one in arguments]
    read += [Argument.model_validate({"name": one, "type": "UserString"}) for one in strings]
    return KernelFunction.model_validate({"function": name, "arguments": read, "returns": returns})


CATALOGUE: dict[str, FunctionSet] = {
    "network": FunctionSet(
        "Bytes into and out of TCP sockets, connecting, and waiting for the peer",
        (
            _function("tcp_connect"),
            _function("tcp_sendmsg", "size"),
            _function("tcp_bpf_sendmsg", "size"),
            _function("tcp_recvmsg", "len"),
            _function("sk_wait_data"),
            _function("sk_stream_wait_memory"),
        ),
    ),
    "files": FunctionSet(
        "Opening, reading, writing and flushing files",
        (
            _function("do_sys_openat2", strings=("filename",)),
            _function("vfs_read", "count"),
            _function("vfs_write", "count"),
            _function("vfs_fsync_range", "datasync"),
        ),
    ),
    "waiting": FunctionSet(
        "Where a thread sleeps: locks, polls and timers",
        (
            _function("futex_wait"),
            _function("do_epoll_wait", "epfd", "maxevents"),
            _function("do_sys_poll", "nfds"),
            _function("do_select", "n"),
            _function("hrtimer_nanosleep"),
        ),
    ),
    "memory": FunctionSet(
        "Mapping memory, and the faults that fill it",
        (_function("vm_mmap_pgoff", "len"), _function("__vm_munmap", "len"), _function("handle_mm_fault", "address")),
    ),
    "processes": FunctionSet(
        "Starting threads and processes, and waiting for their end",
        (_function("kernel_clone"), _function("do_wait")),
    ),
    "security": FunctionSet(
        "Decisions of the security modules on connecting, opening and executing",
        (_function("security_socket_connect", "addrlen"), _function("security_file_open"), _function("security_bprm_check")),
    ),
}


def expand(entries: Iterable[KernelFunction]) -> tuple[KernelFunction, ...]:
    """The single functions that ``entries`` stand for, each once, in order of first mention.

    What an entry says of a function itself counts more than what a set says of it. A set's ``minimumDuration`` goes to each of
    its functions. Raises ``KeyError`` for a set that the catalogue has not (``TracingPolicy`` refuses such a policy).
    """
    found: dict[str, KernelFunction] = {}
    own: set[str] = set()
    for entry in entries:
        if entry.function is not None:
            found[entry.function] = entry
            own.add(entry.function)
        elif entry.set is not None:
            for row in CATALOGUE[entry.set].functions:
                if row.function is not None and row.function not in own and row.function not in found:
                    found[row.function] = row.model_copy(update={"minimum_duration": entry.minimum_duration})
    return tuple(found.values())
