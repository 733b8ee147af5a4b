"""The consumer's end of a ring buffer, on a file that has the layout which the kernel maps (kernel/bpf/ringbuf.c)."""

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from clew_agent.ring import RingBuffer

SIZE = 4 * mmap.PAGESIZE
BUSY = 1 << 31
DISCARDED = 1 << 30
READS = 100_000
WATCH = """
import mmap, sys
position = memoryview(mmap.mmap(int(sys.argv[1]), mmap.PAGESIZE)).cast("Q")
print("watching", flush=True)
now, back, end = 0, 0, int(sys.argv[2])
while now < end:
    seen = position[0]
    back += seen < now
    now = max(seen, now)
print(back)
"""


class Kernel:
    """The producer's end: what the programs of a kernel would write. The data come once in the file; the kernel maps them twice."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("ring")
        os.ftruncate(self.descriptor, 2 * mmap.PAGESIZE + SIZE)
        self._words = memoryview(mmap.mmap(self.descriptor, 2 * mmap.PAGESIZE + SIZE))

    def write(self, data: bytes, marks: int = 0) -> None:
        """Append a record."""
        at = self._position(mmap.PAGESIZE)
        for number, byte in enumerate((len(data) | marks).to_bytes(4, "little") + bytes(4) + data):
            self._words[2 * mmap.PAGESIZE + (at + number) % SIZE] = byte
        self._words[mmap.PAGESIZE : mmap.PAGESIZE + 8] = (at + (len(data) + 15 & ~7)).to_bytes(8, "little")

    @property
    def read_to(self) -> int:
        """The consumer's position."""
        return self._position(0)

    def _position(self, at: int) -> int:
        return int.from_bytes(self._words[at : at + 8], "little")


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    os.close(made.descriptor)


@pytest.fixture
def ring(kernel: Kernel) -> Iterator[RingBuffer]:
    opened = RingBuffer(kernel.descriptor, SIZE)
    yield opened
    opened.close()


def test_records_are_read_once_in_their_order(kernel: Kernel, ring: RingBuffer) -> None:
    kernel.write(b"one")
    kernel.write(b"twotwotwo")
    assert ring.read() == [b"one", b"twotwotwo"]
    assert kernel.read_to == 16 + 24
    assert ring.read() == []


def test_a_record_that_is_being_written_holds_up_those_behind_it(kernel: Kernel, ring: RingBuffer) -> None:
    kernel.write(b"whole")
    kernel.write(b"under way", BUSY)
    kernel.write(b"behind")
    assert ring.read() == [b"whole"]
    assert kernel.read_to == 16


def test_a_record_that_was_given_up_is_passed_over(kernel: Kernel, ring: RingBuffer) -> None:
    kernel.write(b"given up", DISCARDED)
    kernel.write(b"kept")
    assert ring.read() == [b"kept"]


def test_records_go_on_at_the_beginning_where_the_ring_ends(kernel: Kernel, ring: RingBuffer) -> None:
    written = [bytes([number % 256]) * (1 + number % 1000) for number in range(200)]
    read = []
    for data in written:
        kernel.write(data)
        read += ring.read()
    assert read == written


def test_the_kernel_never_meets_a_position_half_written(kernel: Kernel, ring: RingBuffer) -> None:
    """It would take the ring for full, and lose a record."""
    end = str(16 * READS)
    watch = subprocess.Popen(
        [sys.executable, "-c", WATCH, str(kernel.descriptor), end], stdout=subprocess.PIPE, text=True, pass_fds=[kernel.descriptor]
    )
    with watch:
        try:
            assert watch.stdout is not None
            assert watch.stdout.readline() == "watching\n"
            for _ in range(READS):
                kernel.write(b"record")
                ring.read()
            assert watch.stdout.read() == "0\n"
        finally:
            watch.kill()
