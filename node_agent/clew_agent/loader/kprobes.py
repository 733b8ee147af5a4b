"""kprobes and kretprobes by the perf_event_open system call, and programs of BPF on them (perf_event_open(2), kprobe's perf PMU)."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from pathlib import Path

from clew_agent.system_call import system_call

_PMU = Path("/sys/bus/event_source/devices/kprobe")
_ATTRIBUTES = struct.Struct("=IIQQQQQIIQQ")  # struct perf_event_attr up to config2
_ENABLE, _SET_BPF = 0x2400, 0x40042408  # PERF_EVENT_IOC_ENABLE and PERF_EVENT_IOC_SET_BPF
_CLOSE_ON_EXEC = 8  # PERF_FLAG_FD_CLOEXEC


def attach_kprobe(program: int, function: str, *, returns: bool) -> int:
    """Have a program run when a kernel function begins, or when it returns. Returns a descriptor: closing it detaches.

    Raises ``OSError``: the function is not there or may not be probed, or the process may not.
    """
    config = 1 << _return_bit() if returns else 0
    name = ctypes.create_string_buffer(function.encode())
    kind = int((_PMU / "type").read_text())
    attributes = _ATTRIBUTES.pack(kind, _ATTRIBUTES.size, config, 0, 0, 0, 0, 0, 0, ctypes.addressof(name), 0)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    # An event of the probe itself, not of a process or a processor: on whichever it is opened, the program runs for all.
    event = system_call("perf_event_open", buffer, -1, 0, -1, _CLOSE_ON_EXEC)
    try:
        fcntl.ioctl(event, _SET_BPF, program)
        fcntl.ioctl(event, _ENABLE, 0)
    except OSError:
        os.close(event)
        raise
    return event


def _return_bit() -> int:
    """The bit of ``config`` that asks for a return probe: "config:0"."""
    return int((_PMU / "format/retprobe").read_text().partition(":")[2])
