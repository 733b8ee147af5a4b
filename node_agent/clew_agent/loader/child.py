"""The loader's child: the only place that knows BCC.

BCC brings LLVM, more than 100 MB of it. So a process of its own compiles, loads and attaches, hands the descriptors of maps,
programs and links to the agent, and ends; what it attached lives on by those descriptors, and goes when they are closed.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from typing import Any

from clew_agent.loader.protocol import Reply, Request, receive_request, send


def _load(request: Request) -> tuple[Reply, list[int]]:
    os.environ["BCC_KERNEL_SOURCE"] = request.tree
    from bcc import BPF, lib

    kinds = {"sock_ops": BPF.SOCK_OPS, "sk_msg": BPF.SK_MSG}
    began = time.monotonic()
    bpf = BPF(text=request.text, cflags=request.cflags, debug=request.debug)
    compiled = time.monotonic()
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
            compile_seconds=round(compiled - began, 3),
            attach_seconds=round(time.monotonic() - compiled, 3),
            peak_kib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        ),
        [descriptor for _, descriptor in held],
    )


def _set_program(lib: Any, array: int, program: int) -> None:
    import ctypes

    if lib.bpf_update_elem(array, ctypes.byref(ctypes.c_uint32(0)), ctypes.byref(ctypes.c_uint32(program)), 0):
        raise OSError(f"a program cannot call itself: bpf_update_elem on a program array failed, errno {ctypes.get_errno()}")


def _links(bpf: Any) -> list[tuple[str, int]]:
    """The descriptors by which BCC holds what it attached: trampolines, raw tracepoints, perf events of kprobes."""
    found: list[tuple[str, int]] = []
    for table in ("kfunc_entry_fds", "kfunc_exit_fds", "kretfunc_fds", "raw_tracepoint_fds", "kprobe_fds"):
        for name, held in getattr(bpf, table, {}).items():
            label = name.decode() if isinstance(name, bytes) else str(name)
            for descriptor in held.values() if isinstance(held, dict) else [held]:
                found.append((label, int(descriptor)))
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
        request = receive_request(connection)
        try:
            reply, descriptors = _load(request)
        except (Exception, SystemExit) as error:  # whatever BCC raises is the answer; it also calls sys.exit
            reply, descriptors = Reply(error=f"{error}\n{_said()}".strip()), []
        send(connection, reply, descriptors)
    # BCC's destructors would detach by name what is ours now.
    os._exit(0)


if __name__ == "__main__":
    main()
