"""What goes over a connection: the bytes of a request, and where a response ends. Pure."""

from __future__ import annotations

import re

__all__ = ["LoadError", "closes", "get", "response_length", "status"]

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


class LoadError(RuntimeError):
    """The service answers something that is not the plain HTTP this generator reads."""


def get(host: str, target: str, *, close: bool = False) -> bytes:
    """The bytes of a GET request for ``target``, in origin form."""
    last = "Connection: close\r\n" if close else ""
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: clew-load\r\nAccept: */*\r\n{last}\r\n".encode()


def closes(message: bytes | bytearray) -> bool:
    """Whether a request or response says that it is the last one of its connection."""
    return _CLOSE.search(message) is not None


def status(response: bytes | bytearray) -> int:
    """The status code of a response. Raises ``LoadError`` when it does not begin with a status line of HTTP/1."""
    line = _STATUS.match(response)
    if line is None:
        raise LoadError(f"a response that does not begin with HTTP/1: {bytes(response[:80])!r}")
    return int(line[1])


def response_length(received: bytes | bytearray) -> int | None:
    """The length in bytes of the response at the start of ``received``, head and body; None while its head is not whole.

    Raises ``LoadError`` for a response without a Content-Length: this generator reads no other framing.
    """
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = _LENGTH.search(received, 0, head + 2)
    if length is None:
        raise LoadError(f"a response without Content-Length: {bytes(received[: head + 4])!r}")
    return head + 4 + int(length[1])
