"""The upstream of the tests: a server outside every pod that keeps each message exactly as it came.

It runs in the test's own process, on the bridge's addresses and on a unix-domain socket, and reads no more of a message than it
needs to know where it ends.
"""

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BLANK = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_LAST_CHUNK = re.compile(rb"\r\n0+(?:;[^\n]*)?\r\n(?:[^\r\n][^\n]*\n)*\r\n")
_DATA_SEGMENTS = struct.Struct("=I")
_EXPECT = re.compile(rb"\nexpect:[ \t]*100-continue", re.IGNORECASE)
TRACEPARENT = re.compile(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\r\n")


def identity_of(message: bytes) -> str:
    """The last part of a request's path."""
    return message.split(b" ", 2)[1].rpartition(b"/")[2].decode("latin-1")


def head_end(data: bytes) -> int | None:
    """The length of the head at the start of `data`, or None while that is not known."""
    blank = _BLANK.search(data)
    return blank.end() if blank else None


def message_end(data: bytes) -> int | None:
    """The length of the request at the start of `data`, or None while that is not known."""
    head = head_end(data)
    if head is None:
        return None
    if _CHUNKED.search(data, 0, head):
        last = _LAST_CHUNK.search(data, head - 2)
        return last.end() if last else None
    length = _LENGTH.search(data, 0, head)
    return head + (int(length[1]) if length else 0)


def _segments_of(connection: socket.socket) -> int:
    """How many segments with data have come (``tcpi_data_segs_in`` of struct tcp_info, linux/tcp.h)."""
    if connection.family == socket.AF_UNIX:
        return 0
    (segments,) = _DATA_SEGMENTS.unpack_from(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 152)
    return int(segments)


class Recorder:
    """Listens until it is closed.

    `messages` are the requests by the last part of their paths, `segments` says in how many TCP segments each came, and `heads` are
    all heads in the order in which they came; `delay` says how many seconds an answer takes, and `answer` is what is answered.
    """

    def __init__(self, host: str, host6: str, path: Path) -> None:
        self.messages: dict[str, bytes] = {}
        self.segments: dict[str, int] = {}
        self.heads: list[bytes] = []
        self.answer = ANSWER
        self.delay: Callable[[str], float] = lambda _: 0.0
        self._news = threading.Condition()
        first = socket.create_server((host, 0), backlog=256)
        self.address: tuple[str, int] = first.getsockname()
        self.address6 = (host6, self.address[1])
        second = socket.create_server(self.address6, family=socket.AF_INET6, backlog=256)
        self.path = str(path)
        third = socket.socket(socket.AF_UNIX)
        third.bind(self.path)
        third.listen(16)
        self._listeners = [first, second, third]
        for listener in self._listeners:
            threading.Thread(target=self._accept, args=[listener], daemon=True).start()

    def close(self) -> None:
        for listener in self._listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def wait(self, identity: str, timeout: float = 30) -> bytes:
        """The message with this identity, as soon as it has come."""
        with self._news:
            if not self._news.wait_for(lambda: identity in self.messages, timeout):
                raise TimeoutError(f"no request {identity} reached the upstream")
            return self.messages[identity]

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        invited = False
        before = 0
        with connection, suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                data += part
                if not invited and _BLANK.search(data) and _EXPECT.search(data):
                    invited = True
                    connection.sendall(CONTINUE)
                while (end := message_end(data)) is not None and len(data) >= end:
                    identity = identity_of(data)
                    came = _segments_of(connection)
                    with self._news:
                        self.messages[identity] = data[:end]
                        self.segments[identity], before = came - before, came
                        self.heads.append(data[: head_end(data)])
                        self._news.notify_all()
                    data = data[end:]
                    invited = False
                    time.sleep(self.delay(identity))
                    connection.sendall(self.answer)
