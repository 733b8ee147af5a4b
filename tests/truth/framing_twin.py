"""Where the messages of an HTTP/1 connection begin and end, however its bytes are cut: the twin of `bpf/stream.h`.

A `Framer` follows one direction, a `Connection` both, since a response's framing depends on its request (HEAD, CONNECT,
Upgrade). All positions are byte offsets in the direction's stream, and depend on the bytes alone, never on how they were
cut into writes. Source: RFC 9112, 6 (message body), 7.1 (chunked), 9.3.2 (pipelining); RFC 9110, 7.8 (Upgrade),
9.3.6 (CONNECT), 15.2 (interim responses).

Nothing is guessed: what cannot be framed with certainty makes the direction LOST from there on. Of a chunk's line only the
size is looked at. The one thing that this reader can and a kernel's cannot: it keeps what a client sends behind an unanswered
CONNECT or Upgrade, and reads it once the answer has told what it is.
"""

import enum
import re
from collections import deque
from dataclasses import dataclass

from tests.truth.http1_twin import Head, HeadFlag, Result, parse_head

CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[^0-9A-Fa-f\n][^\n]*)?\n")


class State(enum.Enum):
    """What the next byte of a direction is."""

    HEAD = "head"
    BODY = "body"
    CHUNK_SIZE = "chunk_size"
    CHUNK_DATA = "chunk_data"
    TRAILERS = "trailers"
    UNTIL_CLOSE = "until_close"
    PAUSED = "paused"
    TUNNEL = "tunnel"
    LOST = "lost"
    CLOSED = "closed"


@dataclass(slots=True)
class Message:
    """A message whose head has been seen whole. `end` is None while it goes on, and for ever once it is a tunnel."""

    start: int
    head_end: int
    insert_at: int
    method: bytes
    status: int
    interim: bool = False
    end: int | None = None


class Framer:
    """One direction of a connection: feed it writes, and read `messages`, `state` and `lost_at`."""

    def __init__(self, *, response: bool) -> None:
        """Follow responses when `response`, requests otherwise."""
        self.response = response
        self.state = State.HEAD
        self.messages: list[Message] = []
        self.lost_at: int | None = None
        self.asked: deque[bytes] = deque()
        self._pending = b""
        self._position = 0
        self._left = 0
        self._may_tunnel = False

    def feed(self, data: bytes) -> list[Message]:
        """Take the next bytes of the stream; return the messages whose heads became complete by them."""
        seen = len(self.messages)
        self._pending += data
        while self._pending and self._step():
            pass
        return self.messages[seen:]

    def close(self) -> None:
        """Take the end of the stream: it ends a body that runs until then (RFC 9112, 6.3, rule 8)."""
        if self.state is State.UNTIL_CLOSE:
            self._current.end = self._position
        self.state = State.CLOSED

    def resolve(self, *, tunnel: bool) -> None:
        """Take the last request's answer, early or not: the connection is a tunnel now, or HTTP/1 goes on."""
        self._may_tunnel = False
        if tunnel:
            self.state = State.TUNNEL
        elif self.state is State.PAUSED:
            self.state = State.HEAD
        self.feed(b"")

    @property
    def _current(self) -> Message:
        return self.messages[-1]

    def _take(self, count: int) -> None:
        self._position += count
        self._pending = self._pending[count:]

    def _lose(self) -> bool:
        self.state, self.lost_at = State.LOST, self._position
        return False

    def _step(self) -> bool:
        """Go one state on; False when more bytes are needed, or nothing more can be told."""
        match self.state:
            case State.HEAD:
                return self._head()
            case State.BODY | State.CHUNK_DATA:
                taken = min(self._left, len(self._pending))
                self._take(taken)
                self._left -= taken
                return self._left == 0 and self._body_done()
            case State.CHUNK_SIZE:
                return self._chunk_size()
            case State.TRAILERS:
                return self._trailers()
            case State.UNTIL_CLOSE | State.TUNNEL | State.LOST | State.CLOSED:
                self._take(len(self._pending))
                return False
            case State.PAUSED:
                return False

    def _body_done(self) -> bool:
        if self.state is State.CHUNK_DATA:
            self.state = State.CHUNK_SIZE
            return True
        return self._message_done()

    def _message_done(self) -> bool:
        self._current.end = self._position
        self.state = State.PAUSED if self._may_tunnel else State.HEAD
        return True

    def _head(self) -> bool:
        if self.response and not self.asked:
            return self._lose()
        head = parse_head(self._pending, response=self.response)
        if head.result is Result.INCOMPLETE or head.end > len(self._pending):
            return False
        if head.result is not Result.COMPLETE:
            return self._lose()
        method = self.asked[0] if self.response else self._pending[: head.method_length]
        interim = self.response and 100 <= head.status < 200 and head.status != 101
        start = self._position
        self.messages.append(Message(start, start + head.end, start + head.insert_at, method, head.status, interim))
        self._take(head.end)
        if self.response:
            return self._response_body(head, method, interim)
        self._may_tunnel = method == b"CONNECT" or HeadFlag.UPGRADE in head.flags
        return self._message_done() if method == b"CONNECT" else self._sized_body(head, unsized=State.HEAD)

    def _response_body(self, head: Head, method: bytes, interim: bool) -> bool:
        if interim:
            return self._message_done()
        self.asked.popleft()
        if head.status == 101 or (method == b"CONNECT" and 200 <= head.status < 300):
            self.state = State.TUNNEL
            return True
        if method == b"HEAD" or head.status in (204, 304):
            return self._message_done()
        return self._sized_body(head, unsized=State.UNTIL_CLOSE)

    def _sized_body(self, head: Head, *, unsized: State) -> bool:
        """Enter the body as Transfer-Encoding, then Content-Length, say (RFC 9112, 6.3, rules 3 to 8)."""
        if HeadFlag.CHUNKED in head.flags:
            self.state = State.CHUNK_SIZE
        elif head.flags & (HeadFlag.BAD_LENGTH | HeadFlag.BAD_ENCODING):
            if not self.response:
                return self._lose()
            self.state = State.UNTIL_CLOSE  # the connection has no further use (rules 4 and 5)
        elif HeadFlag.HAS_LENGTH in head.flags:
            self.state, self._left = State.BODY, head.content_length
            return True if self._left else self._message_done()
        elif unsized is State.HEAD:
            return self._message_done()
        else:
            self.state = unsized
        return True

    def _chunk_size(self) -> bool:
        line = CHUNK_LINE.match(self._pending)
        if line is None:
            return b"\n" in self._pending and self._lose()
        size = int(line[1], 16)
        self._take(line.end())
        self.state, self._left = (State.CHUNK_DATA, size + 2) if size else (State.TRAILERS, 0)
        return True

    def _trailers(self) -> bool:
        """Skip the trailer section, line by line, up to the empty line that ends the message (RFC 9112, 7.1.2)."""
        newline = self._pending.find(b"\n")
        if newline < 0:
            return False
        empty = not self._pending[:newline].strip(b"\r")
        self._take(newline + 1)
        return self._message_done() if empty else True


class Connection:
    """Both directions of a connection, fed in the order in which the bytes were seen."""

    def __init__(self) -> None:
        """Start before the connection's first byte."""
        self.requests = Framer(response=False)
        self.responses = Framer(response=True)

    def client(self, data: bytes) -> None:
        """Take bytes that the client sent."""
        self._ask(self.requests.feed(data))

    def server(self, data: bytes) -> None:
        """Take bytes that the server sent; its final answers decide what the client's further bytes are."""
        for message in self.responses.feed(data):
            if not message.interim and not self.responses.asked:
                known = len(self.requests.messages)
                self.requests.resolve(tunnel=self.responses.state is State.TUNNEL)
                self._ask(self.requests.messages[known:])

    def _ask(self, messages: list[Message]) -> None:
        self.responses.asked.extend(message.method for message in messages)
