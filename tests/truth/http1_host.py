"""Asks the C head parser of `bpf/http1.h`, compiled for this machine with the address and undefined-behaviour sanitizers.

`build` makes the program of `http1_host.c`; a `Parser` runs it and gives its answers as the twin's values, so that the two
can be compared with `==`.
"""

import struct
import subprocess
from pathlib import Path
from types import TracebackType

from tests.truth.http1_twin import HEAD_MAX, Head, HeadFlag, Result
from tests.truth.tracecontext_twin import TraceParent

SOURCE = Path(__file__).with_name("http1_host.c")
QUESTION = struct.Struct("=IHH")
READING = struct.Struct("=8IQ4I16s8s512s")
# The kernel reads words wherever they lie and through any pointer type, and is compiled accordingly.
FLAGS = ("-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-strict-aliasing")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize=alignment", "-fno-sanitize-recover=all")


def build(folder: Path) -> Path:
    """Compile the program into `folder` and return its path. Raises subprocess.CalledProcessError with gcc's words."""
    program = folder / "http1_host"
    subprocess.run(["gcc", *FLAGS, *SANITIZERS, "-o", program, SOURCE], check=True)
    return program


class Parser:
    """A running parser program; a context manager that ends it and holds it to a clean exit."""

    def __init__(self, program: Path) -> None:
        """Start `program`; a sanitizer's report goes to this process's standard error."""
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> "Parser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()
        if kind is None and self._process.returncode:
            raise AssertionError(f"the parser program ended with status {self._process.returncode}")

    def parse_head(self, data: bytes, *, response: bool, fill: int) -> Head:
        """Let the C read `data`, its buffers holding `fill` elsewhere. Raises AssertionError when a sanitizer ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        data = data[:HEAD_MAX]
        self._process.stdin.write(QUESTION.pack(len(data), response, fill) + data)
        self._process.stdin.flush()
        answer = self._process.stdout.read(READING.size)
        if len(answer) < READING.size:
            raise AssertionError(f"the parser program died reading {data!r}")
        return _head(answer)


def _head(answer: bytes) -> Head:
    (verdict, end, insert_at, flags, status, minor, method_length, target_length, content_length, traceparents, valid,
     trace_flags, tracestate_length, trace_id, parent_id, tracestate) = READING.unpack(answer)  # fmt: skip
    return Head(
        result=Result(verdict),
        end=end,
        insert_at=insert_at,
        method_length=method_length,
        target_length=target_length,
        minor=minor,
        status=status,
        flags=HeadFlag(flags),
        content_length=content_length,
        traceparents=traceparents,
        traceparent=TraceParent(trace_id, parent_id, trace_flags) if valid else None,
        tracestate=tracestate[:tracestate_length],
    )
