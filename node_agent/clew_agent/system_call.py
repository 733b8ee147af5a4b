"""System calls that libc has no function for: the loader's, and the one that fetches a pod's sockets."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Mapping

_LIBC = ctypes.CDLL(None, use_errno=True)
# By machine, as uname(2) names it.
_NUMBERS: Mapping[str, Mapping[str, int]] = {
    "bpf": {"x86_64": 321, "aarch64": 280},
    "perf_event_open": {"x86_64": 298, "aarch64": 241},
    "pidfd_getfd": {"x86_64": 438, "aarch64": 438},
}


def system_call(name: str, *arguments: object) -> int:
    """A system call that libc has no function for. Returns what the kernel does; raises ``OSError``."""
    number = _NUMBERS[name].get(platform.machine())
    if number is None:
        raise OSError(f"the {name} system call's number on {platform.machine()} is not known")
    result: int = _LIBC.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
