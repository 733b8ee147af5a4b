"""The consumer's end of a BPF ring buffer, read through mmap in batches (kernel/bpf/ringbuf.c).

The programs never wake the agent (``BPF_RB_NO_WAKEUP``): it looks by its own clock, so an application pays for no wake-up.
"""

from __future__ import annotations

import mmap

_HEADER_SIZE = 8  # u32 length with the two marks below, u32 page offset; read as one word: x86-64 and arm64 are little-endian
_LENGTH = (1 << 30) - 1
_BUSY = 1 << 31
_DISCARDED = 1 << 30
_BATCH = 4 << 20  # bytes read before the consumer's position is told to the kernel


class RingBuffer:
    """Reads one ring. The descriptor stays the caller's."""

    def __init__(self, descriptor: int, size: int) -> None:
        """Map the ring, whose data have that many bytes (the map's ``max_entries``). Raises ``OSError``."""
        self._size = size
        self._consumer = mmap.mmap(descriptor, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        # The kernel offers the data twice in a row, so that no record is cut in two. Mapped so, each page counts twice as resident.
        span = mmap.PAGESIZE + self._size
        self._producer = mmap.mmap(descriptor, span, mmap.MAP_SHARED, mmap.PROT_READ, offset=mmap.PAGESIZE)
        self._headers = memoryview(self._producer).cast("Q")
        # Each side's position is the first word of its page, and the other side reads it at any moment. A view moves a word at once;
        # struct.pack_into fills it with zeros first, and a program that met those took the ring for full and lost its record.
        self._read_to = memoryview(self._consumer).cast("Q")

    def read(self) -> list[bytes]:
        """All records that are complete, oldest first. Never blocks."""
        at = self._read_to[0]
        records: list[bytes] = []
        end = min(self._headers[0], at + _BATCH)
        data, headers, mask, limit = self._producer, self._headers, self._size - 1, mmap.PAGESIZE + self._size
        while at < end:
            where = mmap.PAGESIZE + (at & mask)
            header = headers[where >> 3]
            if header & _BUSY:
                break
            size = header & _LENGTH
            if not header & _DISCARDED:
                start, over = where + _HEADER_SIZE, where + _HEADER_SIZE + size - limit
                records.append(data[start : start + size] if over <= 0 else data[start:] + data[mmap.PAGESIZE : mmap.PAGESIZE + over])
            at += (size + _HEADER_SIZE + 7) & ~7
        self._read_to[0] = at
        return records

    def close(self) -> None:
        """Unmap."""
        self._read_to.release()
        self._consumer.close()
        self._headers.release()
        self._producer.close()
