"""The consumer's end of a BPF ring buffer, read through mmap in batches (kernel/bpf/ringbuf.c).

The programs never wake the agent (``BPF_RB_NO_WAKEUP``): it looks by its own clock, so an application pays for no wake-up.
"""

from __future__ import annotations

import mmap
import struct

from clew_agent.loader.syscalls import map_info

# Native formats (@) are read and written as whole words; others byte by byte, and the kernel could meet a number half written.
_HEADER = struct.Struct("@II")  # length with the two marks below, page offset
_POSITION = struct.Struct("@Q")
_BUSY = 1 << 31
_DISCARDED = 1 << 30
_BATCH = 4 << 20  # bytes read before the consumer's position is told to the kernel


class RingBuffer:
    """Reads one ring. The descriptor stays the caller's."""

    def __init__(self, descriptor: int) -> None:
        """Map the ring. Raises ``OSError``."""
        self._size = map_info(descriptor)["max_entries"]
        self._consumer = mmap.mmap(descriptor, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        # The data is mapped twice in a row, so that no record is ever cut in two.
        span = mmap.PAGESIZE + 2 * self._size
        self._producer = mmap.mmap(descriptor, span, mmap.MAP_SHARED, mmap.PROT_READ, offset=mmap.PAGESIZE)

    def read(self) -> list[bytes]:
        """All records that are complete, oldest first. Never blocks."""
        (at,) = _POSITION.unpack_from(self._consumer, 0)
        (end,) = _POSITION.unpack_from(self._producer, 0)
        records: list[bytes] = []
        end = min(end, at + _BATCH)
        while at < end:
            where = mmap.PAGESIZE + at % self._size
            length, _ = _HEADER.unpack_from(self._producer, where)
            if length & _BUSY:
                break
            size = length & ~_DISCARDED
            if not length & _DISCARDED:
                records.append(self._producer[where + _HEADER.size : where + _HEADER.size + size])
            at += (size + _HEADER.size + 7) & ~7
        _POSITION.pack_into(self._consumer, 0, at)
        return records

    def close(self) -> None:
        """Unmap."""
        self._consumer.close()
        self._producer.close()
