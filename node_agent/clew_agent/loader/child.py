"""The loader's child: the only place that knows BCC.

BCC brings LLVM, more than 100 MB of it. So a process of its own compiles, loads and attaches, hands the descriptors of maps,
programs and links to the agent, and ends; what it attached lives on by those descriptors, and goes when they are closed.

A text may use maps that are in the kernel already (``Request.shared``). BCC can share maps between texts of one process, or through
a bpffs, and an agent has neither; but it makes all maps first, and loads programs afterwards, which name maps by descriptors. In
between, the descriptors of the text's own maps are made to mean the shared ones (docs/decisions/008-functions-swapped-live.md).
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from typing import Any

from clew_agent.loader.protocol import Reply, Request, receive_request, send


def _load(request: Request, shared: list[int]) -> tuple[Reply, list[int]]:
    os.environ["BCC_KERNEL_SOURCE"] = request.tree
    from bcc import BPF, lib

    class Sharing(BPF):  # type: ignore[misc]  # bcc has no types
        """A text that has its maps, and not yet its programs, when this method runs."""

        compiled = 0.0

        def _trace_autoload(self) -> None:
            for name, descriptor in zip(request.shared, shared, strict=True):
                own = lib.bpf_table_fd(self.module, name.encode())
                if own < 0:
                    raise LookupError(f"the compiled program lacks {name}")
                os.dup2(descriptor, own, inheritable=False)
            Sharing.compiled = time.monotonic()
            super()._trace_autoload()

    kinds = {"sock_ops": BPF.SOCK_OPS, "sk_msg": BPF.SK_MSG}
    began = time.monotonic()
    bpf = Sharing(text=request.text, cflags=request.cflags, debug=request.debug)
    if not Sharing.compiled:
        raise RuntimeError("this BCC loads programs in a way that does not let them share maps")
    held: list[tuple[str, int]] = [(f"map:{name}", lib.bpf_table_fd(bpf.module, name.encode())) for name in request.maps]
    missing = [name for name, descriptor in held if descriptor < 0]
    if missing:
        return Reply(error=f"the compiled program lacks {', '.join(missing)}"), []
    tables = {name.removeprefix("map:"): descriptor for name, descriptor in held}
    for name, kind in request.programs.items():
        held.append((f"program:{name}", bpf.load_func(name, kinds[kind]).fd))
    for array, name in request.tail_calls.items():
        _set_program(lib, tables[array], bpf.load_func(name, kinds.get(request.programs.get(name, ""), BPF.TRACING)).fd)
    for function, event, returns in request.kprobes:
        attach: Any = bpf.attach_kretprobe if returns else bpf.attach_kprobe
        attach(event=event, fn_name=function)
    held += [(f"program:{name.decode()}", made.fd) for name, made in bpf.funcs.items() if name.decode() not in request.programs]
    held += [(f"link:{name}", descriptor) for name, descriptor in _links(bpf)]
    return (
        Reply(
            names=[name for name, _ in held],
            compile_seconds=round(Sharing.compiled - began, 3),
            attach_seconds=round(time.monotonic() - Sharing.compiled, 3),
            peak_kib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        ),
        [descriptor for _, descriptor in held],
    )


def _set_program(lib: Any, array: int, program: int) -> None:
    import ctypes

    if lib.bpf_update_elem(array, ctypes.byref(ctypes.c_uint32(0)), ctypes.byref(ctypes.c_uint32(program)), 0):
        raise OSError(f"a program cannot call itself: bpf_update_elem on a program array failed, errno {ctypes.get_errno()}")


def _links(bpf: Any) -> list[tuple[str, int]]:
    """The descriptors by which BCC holds what it attached: trampolines, raw tracepoints, perf events of kprobes; each by the name of
    the C function or tracepoint."""
    found: list[tuple[str, int]] = []
    for table in ("kfunc_entry_fds", "kfunc_exit_fds", "kretfunc_fds", "raw_tracepoint_fds", "kprobe_fds"):
        for name, held in getattr(bpf, table, {}).items():
            for label, descriptor in held.items() if isinstance(held, dict) else [(name, held)]:
                found.append((label.decode() if isinstance(label, bytes) else str(label), int(descriptor)))
    return found


def _said() -> str:
    """What clang, libbpf and the verifier have said: standard error is a file that the parent made, and can be read."""
    try:
        return os.pread(2, 1 << 20, max(0, os.fstat(2).st_size - (1 << 20))).decode(errors="replace")
    except OSError:
        return ""


def main() -> None:
    """Serve one request on the socket whose number is the first argument."""
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        request, shared = receive_request(connection)
        try:
            reply, descriptors = _load(request, shared)
        except (Exception, SystemExit) as error:  # whatever BCC raises is the answer; it also calls sys.exit
            reply, descriptors = Reply(error=f"{error}\n{_said()}".strip()), []
        send(connection, reply, descriptors)
    # BCC's destructors would detach by name what is ours now.
    os._exit(0)


if __name__ == "__main__":
    main()
