"""Drives the kernel's request path, compiled for this machine with the address and undefined-behaviour sanitizers.

`path_host.c` is the program: the files of `bpf/` unchanged, on maps, sockets and messages of its own. A `Path` runs it and says
what happens to a pod's sockets and threads; every call returns an `Answer`: the bytes that go on, the records that were made, the
counters, and the state of the connection's two streams.
"""

import enum
import functools
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from types import TracebackType

from clew_agent.bpf_files import bpf_source
from clew_agent.c_header import read_header
from clew_agent.kernel_settings import pack
from clew_agent.records import RequestRecord, Role, make_decoder, read_records_header

SOURCE = FilePath(__file__).with_name("path_host.c")
QUIET = ("unused-parameter", "unused-function", "unknown-pragmas")
# Programs of the kernel read words wherever they lie, and through any pointer type. -O0: compiling takes longer than running.
FLAGS = ("-O0", "-g", "-Wall", "-Wextra", "-Werror", "-fno-strict-aliasing", *(f"-Wno-{name}" for name in QUIET))
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize=alignment", "-fno-sanitize-recover=all")
COMMAND = struct.Struct("=4I2q2I")
INSERTION = struct.Struct("=2I")
MSG_PEEK = 2
SINGLE_BUFFER = 1 << 32
NO_LOW = 0xFFFFFFFF
RECORDS = read_records_header()
DECODE = make_decoder(RECORDS)
COUNTERS = {
    name.removeprefix("COUNTER_").lower(): number
    for name, number in read_header(bpf_source("counters.h").read_text()).enums["counter"].items()
    if name != "COUNTERS"
}
ANSWER = struct.Struct(f"=q3I4B2Q2IQ{len(COUNTERS)}Q")


class Stream(enum.IntEnum):
    """What the next byte of a direction is: `enum stream_state` of bpf/stream.h."""

    HEAD = 0
    BODY = 1
    CHUNK_SIZE = 2
    CHUNK_REST = 3
    CHUNK_DATA = 4
    TRAILER = 5
    TRAILER_LINE = 6
    UNTIL_CLOSE = 7
    GIVEN_UP = 8
    WAITING = 9
    UNSYNCED = 10


class Fault(enum.IntEnum):
    """What can be refused: `enum fault` of path_kernel.h. The last five are updates of maps."""

    PULL = 0
    COPY = 1
    PUSH = 2
    POP = 3
    USER_READ = 4
    RING = 5
    TAIL_CALL = 6
    STORAGE = 7
    SOCKHASH = 8
    CONTEXTS = 9
    TRACESTATES = 10
    UNITS = 11
    PROCESSES = 12
    HEADS = 13


class _Kind(enum.IntEnum):
    RESET = 0
    OPEN = 1
    READ = 2
    WRITE = 3
    PAGE = 4
    MESSAGE = 5
    SENT = 6
    CLOSE = 7
    CLONE = 8
    EXIT = 9
    CONTEXT = 10
    FAULT = 11
    ROOM = 12
    FORGET_HEADS = 13
    TAKEN_OVER = 14
    LOOK = 15
    INTERRUPT = 16
    WAIT = 17
    SPLICE = 18


@dataclass(frozen=True, slots=True)
class Thread:
    """Who calls: the unit that the programs see."""

    pid: int
    tid: int


MAIN = Thread(100, 100)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to.

    `insertions` are (offset in the message as it then stood, bytes pushed); `opened` counts the open requests of all connections.
    """

    result: int
    data: bytes
    insertions: list[tuple[int, int]]
    records: list[RequestRecord]
    incoming: Stream
    outgoing: Stream
    partial: tuple[bool, bool]
    left: tuple[int, int]
    begun: int
    ended: int
    opened: int
    counters: dict[str, int]


@functools.cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="clew-path-")


@functools.cache
def build() -> FilePath:
    """Compile the program, once a run of the tests. Raises subprocess.CalledProcessError with gcc's words."""
    program = FilePath(_folder().name) / "path_host"
    headers = bpf_source("clew.h").parent
    subprocess.run(["gcc", *FLAGS, *SANITIZERS, f"-I{headers}", "-o", program, SOURCE], check=True)
    return program


class Path:
    """A running request path; a context manager that ends it and holds it to a clean exit. Connections are known by a number."""

    def __init__(self) -> None:
        """Start the program; a sanitizer's report goes to this process's standard error."""
        self._process = subprocess.Popen([build()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.reset()

    def __enter__(self) -> "Path":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()
        if kind is None and self._process.returncode:
            raise AssertionError(f"the request path ended with status {self._process.returncode}")

    def reset(self, *, agent: int = 1, **policy: int) -> "Path":
        """Begin anew with fresh maps, no faults, and one policy (members of `struct policy` over the ones given here)."""
        self.records: list[RequestRecord] = []
        values = {"threshold": 1 << 32, "parent_based": 1, "inject": 1, "extract": 1} | policy
        settings = pack("settings", {"unix_offset_ns": 1_700_000_000 * 10**9, "host": bytes([10, 0, 0, 1]), "agent": agent})
        assert self._ask(_Kind.RESET, pieces=[settings, pack("policy", values)]).result == 0
        self._next = 0
        return self

    def open(
        self, role: Role, *, local: bytes = b"\x0a\0\0\x02", remote: bytes = b"\x0a\0\0\x03", ports: tuple[int, int] = (8080, 80)
    ) -> int:
        """A connection comes to be; addresses are 4 or 16 bytes."""
        number, self._next = self._next, self._next + 1
        self._ask(_Kind.OPEN, number, first=role, second=ports[0] << 16 | ports[1], pieces=[local, remote])
        return number

    def take_over(self, role: Role, identity: int = 1 << 40, *, observed: bool = False) -> int:
        """A connection older than the programs, added from user space; a client's socket that is observed is not in the sockhash."""
        number, self._next = self._next, self._next + 1
        self._ask(_Kind.TAKEN_OVER, number, first=role | observed << 8, second=identity)
        return number

    def read(
        self, connection: int, pieces: Sequence[bytes], size: int | None = None, *, flags: int = 0, by: Thread = MAIN, single: bool = False
    ) -> Answer:
        """The application has read `size` bytes (all, unless said) into buffers with these bytes."""
        size = sum(map(len, pieces)) if size is None else size
        return self._ask(_Kind.READ, connection, by, size, flags | (SINGLE_BUFFER if single else 0), pieces)

    def write(
        self, connection: int, pieces: Sequence[bytes], size: int | None = None, *, by: Thread = MAIN, single: bool = False
    ) -> Answer:
        """A server, or a client that is observed, has sent `size` bytes (all, unless said) of these buffers."""
        size = sum(map(len, pieces)) if size is None else size
        return self._ask(_Kind.WRITE, connection, by, size, SINGLE_BUFFER if single else 0, pieces)

    def sendfile(self, connection: int, size: int, *, by: Thread = MAIN) -> Answer:
        """A server, or a client that is observed, has sent `size` bytes of a file (tcp_sendpage)."""
        return self._ask(_Kind.PAGE, connection, by, size)

    def splice(self, connection: int, size: int, *, by: Thread = MAIN) -> Answer:
        """The application has moved `size` bytes from the socket to a pipe (tcp_splice_read)."""
        return self._ask(_Kind.SPLICE, connection, by, size)

    def message(self, connection: int, pieces: Sequence[bytes], *, by: Thread = MAIN, shared: int = 0) -> Answer:
        """One message of a client's send passes sk_msg; `result` is the verdict, `data` what goes on."""
        return self._ask(_Kind.MESSAGE, connection, by, 0, shared, [piece for piece in pieces if piece])

    def sent(self, connection: int, result: int, went: int, *, by: Thread = MAIN) -> Answer:
        """The client's send is over; `result` is what tcp_bpf_sendmsg returns, `went` how many bytes TCP took, added ones counted."""
        return self._ask(_Kind.SENT, connection, by, result, went)

    def send(self, connection: int, data: bytes, *, by: Thread = MAIN) -> Answer:
        """A client's whole send in one message of one piece, which the kernel takes."""
        answer = self.message(connection, [data], by=by)
        self.sent(connection, len(data), len(answer.data), by=by)
        return answer

    def close(self, connection: int) -> Answer:
        """The application closes its socket."""
        return self._ask(_Kind.CLOSE, connection)

    def clone(self, by: Thread, child: int) -> None:
        """A thread or process is made (alloc_pid): `child` is its id, or the error."""
        self._ask(_Kind.CLONE, by=by, first=child)

    def exit(self, by: Thread) -> None:
        """A thread ends."""
        self._ask(_Kind.EXIT, by=by)

    def context(self, by: Thread) -> bytes:
        """The span that a kernel function running in this thread would belong to; empty where there is none."""
        return self._ask(_Kind.CONTEXT, by=by).data

    def fault(self, fault: Fault, nth: int = 1) -> None:
        """Refuse this, from the `nth` call on; 0: no longer."""
        self._ask(_Kind.FAULT, first=fault, second=nth)

    def interrupt(self, round_: int = 0) -> None:
        """From now on, sk_msg interrupts another connection's run in that round; -1: no longer."""
        self._ask(_Kind.INTERRUPT, first=round_)

    def room(
        self, connection: int, *, queued: int, limit: int, segment: int = 1460, unsent: int = 0, low: int = 0, low_of_all: int = NO_LOW
    ) -> None:
        """How full the socket's send buffer is, how large its segments are, and TCP_NOTSENT_LOWAT of it and of the system."""
        self._ask(_Kind.ROOM, connection, first=queued, second=limit, pieces=[struct.pack("=4I", segment, unsent, low, low_of_all)])

    def look(self, connection: int) -> Answer:
        """How the connection stands."""
        return self._ask(_Kind.LOOK, connection)

    def forget_heads(self) -> None:
        """All unfinished heads are pushed out of their map by others."""
        self._ask(_Kind.FORGET_HEADS)

    def wait(self, nanoseconds: int) -> None:
        """Time passes."""
        self._ask(_Kind.WAIT, first=nanoseconds)

    def counters(self) -> dict[str, int]:
        """The counters that are not zero."""
        return {name: value for name, value in self._ask(_Kind.LOOK).counters.items() if value}

    def _ask(
        self, kind: int, connection: int = 0, by: Thread = MAIN, first: int = 0, second: int = 0, pieces: Sequence[bytes] = ()
    ) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = COMMAND.pack(kind, connection, by.pid, by.tid, first, second, len(pieces), 0)
        sizes = struct.pack(f"={len(pieces)}I", *map(len, pieces))
        self._process.stdin.write(command + sizes + b"".join(pieces))
        self._process.stdin.flush()
        read = self._process.stdout.read
        answer = read(ANSWER.size)
        if len(answer) < ANSWER.size:
            raise AssertionError("the request path died")
        (
            result,
            data,
            insertions,
            records,
            incoming,
            outgoing,
            in_partial,
            out_partial,
            in_left,
            out_left,
            begun,
            ended,
            opened,
            *counts,
        ) = ANSWER.unpack(answer)
        parts = read(data), read(insertions), read(records)
        requests = [record for record in map(DECODE, _split(parts[2])) if isinstance(record, RequestRecord)]
        self.records += requests
        return Answer(
            result,
            parts[0],
            list(INSERTION.iter_unpack(parts[1])),
            requests,
            Stream(incoming),
            Stream(outgoing),
            (bool(in_partial), bool(out_partial)),
            (in_left, out_left),
            begun,
            ended,
            opened,
            {name: counts[number] for name, number in COUNTERS.items()},
        )


def _split(gathered: bytes) -> list[bytes]:
    """The records of the ring buffer, each behind its size."""
    found: list[bytes] = []
    while gathered:
        (size,) = struct.unpack_from("=I", gathered)
        found.append(gathered[4 : 4 + size])
        gathered = gathered[4 + size :]
    return found
