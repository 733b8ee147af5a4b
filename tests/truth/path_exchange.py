"""Plays an exchange past the kernel's request path and past the framing twin, so that the two can be compared.

An `Exchange` is one connection of a traced pod, which serves (`Role.SERVER`) or asks (`Role.CLIENT`), with its socket in the sockhash or
only `observed`. Whatever the pod reads and sends is told to both; `sent` are the client's bytes, `wire` what the network sees of them,
`inserted` where Clew put something in (offset in `sent`, the bytes).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from clew_agent.records import Outcome, Role

from tests.truth.framing_twin import Connection, State
from tests.truth.path_host import MAIN, Answer, Path, Stream, Thread

STATES = {
    Stream.HEAD: State.HEAD,
    Stream.BODY: State.BODY,
    Stream.CHUNK_SIZE: State.CHUNK_SIZE,
    Stream.CHUNK_REST: State.CHUNK_SIZE,
    Stream.CHUNK_DATA: State.CHUNK_DATA,
    Stream.TRAILER: State.TRAILERS,
    Stream.TRAILER_LINE: State.TRAILERS,
    Stream.UNTIL_CLOSE: State.UNTIL_CLOSE,
    Stream.WAITING: State.PAUSED,
    Stream.GIVEN_UP: State.LOST,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a request ended: what a record says of it."""

    method: bytes
    outcome: Outcome
    status: int


class Exchange:
    """One connection, fed in the order in which the bytes are seen."""

    def __init__(self, path: Path, role: Role, by: Thread = MAIN, *, observed: bool = False) -> None:
        """Open a connection of `path`, whose policy inserts nothing where the connection is to be observed."""
        self.path = path
        self.role = role
        self.observed = observed
        self.by = by
        self.twin = Connection()
        self.number = path.open(role)
        self.sent = b""
        self.wire = b""
        self.inserted: list[tuple[int, bytes]] = []
        self.answer = path.look(self.number)

    def client(self, *pieces: bytes) -> None:
        """The client's next bytes, in one read or one message, in these pieces."""
        data = b"".join(pieces)
        self.twin.client(data)
        if self.role is Role.SERVER:
            self.answer = self.path.read(self.number, pieces, by=self.by)
            self.wire += data
        elif self.observed:
            self.answer = self.path.write(self.number, pieces, by=self.by)
            self.wire += data
        elif data:
            self._take(self.path.message(self.number, pieces, by=self.by))
            self.answer = self.path.sent(self.number, len(data), len(self.answer.data), by=self.by)
        self.sent += data

    def server(self, *pieces: bytes) -> None:
        """The server's next bytes, likewise."""
        self.twin.server(b"".join(pieces))
        move = self.path.write if self.role is Role.SERVER else self.path.read
        self.answer = move(self.number, pieces, by=self.by)

    def _take(self, answer: Answer) -> None:
        before = 0
        for at, length in answer.insertions:
            self.inserted.append((len(self.sent) + at - before, answer.data[at : at + length]))
            before += length
        self.wire += answer.data

    def states(self) -> tuple[State, State]:
        """What the path expects next of requests and of responses."""
        incoming, outgoing = STATES[self.answer.incoming], STATES[self.answer.outgoing]
        return (incoming, outgoing) if self.role is Role.SERVER else (outgoing, incoming)

    def end(self, *, at_eof: bool = False) -> list[Ending]:
        """The server closes (the client reads the end, if `at_eof`), then the pod's socket goes; how all requests ended."""
        if self.role is Role.CLIENT and at_eof:
            self.path.read(self.number, [b""])
        self.twin.responses.close()
        self.path.close(self.number)
        return [
            Ending(record.request.method, Outcome(record.request.outcome), record.request.status)
            for record in self.path.records
            if record.request.role == self.role
        ]


def with_insertions(sent: bytes, inserted: Sequence[tuple[int, bytes]]) -> bytes:
    """`sent` with each text put in at its offset in `sent`."""
    parts, at = [], 0
    for offset, text in inserted:
        parts += [sent[at:offset], text]
        at = offset
    return b"".join([*parts, sent[at:]])


def expected_endings(twin: Connection) -> list[Ending]:
    """What the records must say once the connection has been closed."""
    answers = [message for message in twin.responses.messages if not message.interim]
    endings = []
    for number, request in enumerate(twin.requests.messages):
        if number >= len(answers):
            endings.append(Ending(request.method, Outcome.CLOSED, 0))
            continue
        answer = answers[number]
        tunnel = answer.status == 101 or (request.method == b"CONNECT" and answer.status // 100 == 2)
        whole = Outcome.CLOSED if answer.end is None else Outcome.COMPLETE
        endings.append(Ending(request.method, Outcome.TUNNEL if tunnel else whole, answer.status))
    return endings
