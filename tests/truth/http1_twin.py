"""The head of an HTTP/1 message, read as plainly as it can be said: the twin of `bpf/http1.h`.

Two readers written apart and held to the same vectors and the same random input find each other's mistakes. This one is
the reference for people: what a rule is, and where it comes from. It is never part of the product.

Sources: RFC 9112 (HTTP/1.1) for lines and framing fields, RFC 9110 for tokens and Content-Length; Trace Context values are
read by `tracecontext_twin`. Where the RFCs let a recipient choose, the choice is the careful one: a head is NOT_HTTP as soon
as it cannot be one, nothing is guessed, and what a strict server would refuse (a folded line, a bare LF, a Content-Length
that contradicts itself) is reported in the flags, so that the bytes are left alone.

A reader in the kernel needs limits; they are part of what both readers must do: HEAD_MAX bytes, LINES_MAX lines, and of one
thing OWS_MAX white space characters and FIELD_REPEATS fields.
"""

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.truth.tracecontext_twin import FIELD_REPEATS, OWS_MAX, TraceParent, combine_tracestate, parse_traceparent, skip_ows

HEAD_MAX = 8192
LINES_MAX = 128
METHOD_MAX = 20
LENGTH_DIGITS_MAX = 18
TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
VISIBLE = frozenset(range(0x21, 0x100)) - {0x7F}


class Result(enum.IntEnum):
    """What the bytes turned out to be."""

    INCOMPLETE = 0
    COMPLETE = 1
    NOT_HTTP = 2
    TOO_LONG = 3


class HeadFlag(enum.IntFlag):
    """What the head's fields say about the message, and what is odd about them."""

    BARE_LF = 1
    FOLDED = 2
    CHUNKED = 4
    HAS_LENGTH = 8
    BAD_LENGTH = 16
    BAD_ENCODING = 32
    UPGRADE = 64


NO_FLAGS = HeadFlag(0)


@dataclass(frozen=True, slots=True)
class Head:
    """A head's reading. Offsets and lengths in bytes from the head's first byte; zero in all but `result` unless COMPLETE.

    `insert_at` is where a field line can be added (the blank line's first byte), `end` the first byte of the body.
    `traceparent` is None when there is no field, several, or an invalid one; `traceparents` counts them.
    """

    result: Result
    end: int = 0
    insert_at: int = 0
    method_length: int = 0
    target_length: int = 0
    minor: int = 0
    status: int = 0
    flags: HeadFlag = NO_FLAGS
    content_length: int = 0
    traceparents: int = 0
    traceparent: TraceParent | None = None
    tracestate: bytes = b""


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its ending; `start` is its offset, `next` that of the line after it."""

    start: int
    text: bytes
    next: int
    bare: bool


@dataclass(frozen=True, slots=True)
class Field:
    """A header field: its name in lower case, what follows the colon, and whether further lines continued it."""

    name: bytes
    value: bytes
    folded: bool


def parse_head(data: bytes, *, response: bool) -> Head:
    """Read the head at the start of `data`: a response's when `response`, a request's otherwise."""
    data = data[:HEAD_MAX]
    head = _status_line(data) if response else _request_line(data)
    if head.result is not Result.COMPLETE:
        return _unfinished(head.result, data)
    first, *lines = _lines(data)
    for number, line in enumerate(lines):
        if not line.text:
            return replace(_read_fields(head, [first, *lines[:number]], line, response), end=line.next, insert_at=line.start)
        if number + 1 == LINES_MAX:
            return Head(Result.TOO_LONG)
    return _unfinished(Result.INCOMPLETE, data)


def _unfinished(result: Result, data: bytes) -> Head:
    if result is Result.INCOMPLETE and len(data) >= HEAD_MAX:
        return Head(Result.TOO_LONG)
    return Head(result)


def _lines(data: bytes) -> Iterator[Line]:
    """Yield the finished lines. A CR that ends the data where a line would start is taken for the blank line's."""
    at = 0
    while at < len(data):
        newline = data.find(b"\n", at)
        if newline < 0:
            if data[at:] == b"\r":
                yield Line(at, b"", at + 2, bare=False)
            return
        bare = newline == at or data[newline - 1] != ord("\r")
        yield Line(at, data[at : newline if bare else newline - 1], newline + 1, bare)
        at = newline + 1


def _request_line(data: bytes) -> Head:
    """Match `method SP target SP HTTP/1.x` and the line's end, byte by byte (RFC 9112, 3)."""
    method = _span(data, 0, TOKEN)
    if method > METHOD_MAX:
        return Head(Result.NOT_HTTP)
    if method == len(data):
        return Head(Result.INCOMPLETE)
    if method == 0 or data[method] != ord(" "):
        return Head(Result.NOT_HTTP)
    after = _span(data, method + 1, VISIBLE)
    if after == len(data):
        return Head(Result.INCOMPLETE)
    if after == method + 1 or data[after] != ord(" "):
        return Head(Result.NOT_HTTP)
    version = after + 1
    result = _matches(data[version:], b"HTTP/1.0\r\n", b"HTTP/1.1\r\n", b"HTTP/1.0\n", b"HTTP/1.1\n")
    if result is not Result.COMPLETE:
        return Head(result)
    return Head(result, method_length=method, target_length=after - method - 1, minor=data[version + 7] - ord("0"))


def _status_line(data: bytes) -> Head:
    """Match `HTTP/1.x SP 3DIGIT` and either the line's end or a reason, which is not looked at (RFC 9112, 4).

    The status is judged once the byte behind its digits has come.
    """
    result = _matches(data, b"HTTP/1.0 ", b"HTTP/1.1 ")
    if result is not Result.COMPLETE:
        return Head(result)
    if len(data) < 13:
        return Head(Result.INCOMPLETE)
    if not re.match(rb"[1-9][0-9]{2}[ \r\n]", data[9:]):
        return Head(Result.NOT_HTTP)
    return Head(Result.COMPLETE if b"\n" in data else Result.INCOMPLETE, minor=data[7] - ord("0"), status=int(data[9:12]))


def _matches(data: bytes, *wanted: bytes) -> Result:
    """Tell whether `data` starts with one of the texts, may still come to, or cannot."""
    if data.startswith(wanted):
        return Result.COMPLETE
    return Result.INCOMPLETE if any(text.startswith(data) for text in wanted) else Result.NOT_HTTP


def _span(data: bytes, at: int, accepted: frozenset[int]) -> int:
    """Return the offset of the first byte from `at` on that is not `accepted`."""
    while at < len(data) and data[at] in accepted:
        at += 1
    return at


def _fields(lines: list[Line]) -> Iterator[Field]:
    """Put continuation lines to their fields (RFC 9112, 5.2); the start line and lines without a colon are no fields."""
    at = 1
    while at < len(lines):
        last = at + 1
        while last < len(lines) and lines[last].text[:1] in (b" ", b"\t"):
            last += 1
        name, colon, value = lines[at].text.partition(b":")
        if colon:
            yield Field(name.lower(), value, folded=last > at + 1)
        at = last


def _read_fields(head: Head, lines: list[Line], blank: Line, response: bool) -> Head:
    flags = NO_FLAGS
    if blank.bare or any(line.bare for line in lines):
        flags |= HeadFlag.BARE_LF
    if any(line.text[:1] in (b" ", b"\t") for line in lines):
        flags |= HeadFlag.FOLDED
    fields = list(_fields(lines))

    def named(name: bytes) -> list[Field]:
        return [field for field in fields if field.name == name]

    if named(b"upgrade"):
        flags |= HeadFlag.UPGRADE
    content_length, length_flags = read_content_length(named(b"content-length"))
    parents, states = named(b"traceparent"), named(b"tracestate")
    readable = not response and len(parents) == 1 and not parents[0].folded  # the fields are a request's
    traceparent = parse_traceparent(parents[0].value) if readable else None
    usable = traceparent is not None and not any(field.folded for field in states)
    return replace(
        head,
        flags=flags | length_flags | read_transfer_encoding(named(b"transfer-encoding")),
        content_length=content_length,
        traceparents=len(parents),
        traceparent=traceparent,
        tracestate=combine_tracestate([field.value for field in states]) if usable else b"",
    )


def read_content_length(fields: list[Field]) -> tuple[int, HeadFlag]:
    """Read the Content-Length fields of a message (RFC 9110, 8.6): equal ones agree, any other plurality is bad."""
    if not fields:
        return 0, NO_FLAGS
    matches = [re.fullmatch(rb"([0-9]{1,%d})[ \t]{0,%d}" % (LENGTH_DIGITS_MAX, OWS_MAX), skip_ows(field.value)) for field in fields]
    numbers = {int(match[1]) for match in matches if match}
    if None in matches or len(numbers) > 1 or len(fields) > FIELD_REPEATS or any(field.folded for field in fields):
        return 0, HeadFlag.BAD_LENGTH
    return numbers.pop(), HeadFlag.HAS_LENGTH


def read_transfer_encoding(fields: list[Field]) -> HeadFlag:
    """Tell from the last Transfer-Encoding field whether the body is chunked (RFC 9112, 6.1 and 6.3)."""
    if not fields:
        return NO_FLAGS
    final = re.fullmatch(rb"(.*,)?[ \t]{0,%d}(?i:chunked)[ \t]{0,%d}" % (OWS_MAX, OWS_MAX), fields[-1].value, re.DOTALL)
    return HeadFlag.CHUNKED if final and not any(field.folded for field in fields) else HeadFlag.BAD_ENCODING
