"""Sends that the kernel takes only in part, and the application goes on with: nothing is lost, doubled or put in twice.

`Sender` does what tcp_bpf_sendmsg does (net/ipv4/tcp_bpf.c): every message of a send passes the program; what the send buffer
has no room for is freed, and its length, with whatever was put into it, taken off the number that the application is told.
"""

import random
from collections.abc import Callable

from clew_agent.records import Outcome, Role
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.truth.path_exchange import with_insertions
from tests.truth.path_host import Path, Stream

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
LIMIT = 64000
OVERHEAD = 2048  # of a send buffer, what a segment's bookkeeping may take
EAGAIN = -11
DROP, PASS = 0, 1  # enum sk_action


class Sender:
    """A client socket whose send buffer is short of room."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = path.open(Role.CLIENT)
        self.sent = 0
        self.wire = b""
        self.inserted: list[tuple[int, bytes]] = []

    def send(self, messages: list[bytes], room: int, *, segment: int = 1460, takes: Callable[[int, int], int] = min) -> int:
        """One system call, of which the kernel makes these messages; returns what it tells the application. ``takes`` says how many
        of so many bytes go where there is so much room."""
        taken = gone = 0
        for message in messages:
            self.path.room(self.connection, queued=LIMIT - room, limit=LIMIT, segment=segment)
            answer = self.path.message(self.connection, [message])
            before = 0
            for at, length in answer.insertions:
                self.inserted.append((self.sent + taken + at - before, answer.data[at : at + length]))
                before += length
            went = answer.data[: takes(len(answer.data), room)]
            self.wire += went
            gone += len(went)
            room -= len(went)
            taken += len(message) - (len(answer.data) - len(went))
            if len(went) < len(answer.data):
                break
        self.path.sent(self.connection, taken if taken > 0 else EAGAIN, gone)
        self.sent += max(taken, 0)
        return taken


def test_a_body_that_is_cut_is_gone_on_with(path: Path) -> None:
    body = b"GET / HTTP/1.1\r\n\r\n" * 1000
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    sender = Sender(path.reset())
    assert sender.send([head + body], 10000) == 10000 - 70
    assert sender.send([(head + body)[9930:]], 100) == 100
    assert sender.send([(head + body)[10030:]], 0) == 0
    look = path.look(sender.connection)
    assert (look.outgoing, look.left[1]) == (Stream.BODY, len(head + body) - 10030)
    rest = (head + body)[10030:]
    assert sender.send([rest + GET], LIMIT) == len(rest + GET)
    assert [at for at, _ in sender.inserted] == [len(head) - 2, len(head + body) + len(GET) - 2]
    assert sender.wire == with_insertions(head + body + GET, sender.inserted)
    assert path.counters()["send_cut"] == 3
    assert "framing_lost" not in path.counters()


def test_a_cut_at_the_end_of_a_body(path: Path) -> None:
    post = b"POST / HTTP/1.1\r\nContent-Length: 9000\r\n\r\n" + b"b" * 9000
    sender = Sender(path.reset())
    assert sender.send([post[:5000], post[5000:] + b"GET /"], len(post) + 70) == len(post)
    # The beginning of a head was seen that did not go: where the next one begins is not certain.
    assert path.look(sender.connection).outgoing is Stream.GIVEN_UP
    assert sender.send([GET], LIMIT) == len(GET)
    assert sender.wire == with_insertions(post + GET, sender.inserted)
    assert len(sender.inserted) == 1


def test_a_head_that_is_cut_is_left_alone(path: Path) -> None:
    sender = Sender(path.reset())
    assert sender.send([GET], 10) == 10
    assert sender.send([GET[10:]], LIMIT) == len(GET) - 10
    assert sender.wire == GET
    assert sender.inserted == []
    assert {name: path.counters()[name] for name in ("not_injected_space", "send_cut", "framing_lost")} == {
        "not_injected_space": 1,
        "send_cut": 1,
        "framing_lost": 1,
    }
    [record] = path.read(sender.connection, [OK]).records
    assert (record.request.outcome, record.request.status) == (Outcome.COMPLETE, 200)


def test_a_head_that_does_not_go_at_all(path: Path) -> None:
    sender = Sender(path.reset())
    assert sender.send([GET], 0) == 0
    assert sender.send([GET], LIMIT) == len(GET)
    assert sender.wire == GET
    [record] = path.read(sender.connection, [OK]).records
    assert (record.request.outcome, record.request.status) == (Outcome.COMPLETE, 200)
    assert path.look(sender.connection).begun == 1


def test_a_head_that_goes_without_its_fields_is_the_last(path: Path) -> None:
    """The system is out of memory for TCP: the application is told of fewer bytes than went, and would send some again."""
    sender = Sender(path.reset())
    assert sender.send([GET], LIMIT, takes=all_but(2)) == len(GET) - 2
    assert path.counters() == {"connections": 1, "client_requests": 1, "injected": 1, "send_cut": 1, "framing_lost": 1}
    for cut in (3, 72, 80):
        sender = Sender(path.reset())
        sender.send([GET + GET], LIMIT, takes=all_but(cut))
        assert path.counters()["send_torn"] == 1
        answer = path.message(sender.connection, [GET])
        assert (answer.result, answer.data) == (DROP, GET)
        sender = Sender(path)
        assert path.message(sender.connection, [GET]).result == PASS


def test_a_send_of_which_nothing_goes_is_not_torn(path: Path) -> None:
    sender = Sender(path.reset())
    assert sender.send([GET], LIMIT, takes=lambda length, room: 0) < 0
    assert "send_torn" not in path.counters()
    assert sender.send([GET], LIMIT) == len(GET)
    assert sender.wire == GET


def all_but(lost: int) -> Callable[[int, int], int]:
    """A send that takes everything but its last bytes, whatever room there is."""
    return lambda length, room: length - lost


def by_segments(segment: int, overhead: int) -> Callable[[int, int], int]:
    """How TCP fills a send buffer: there must be room before each segment, which may then take more than there is."""

    def takes(length: int, room: int) -> int:
        went = 0
        while went < length and room > 0:
            went += segment
            room -= segment + overhead
        return min(went, length)

    return takes


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32).map(random.Random))
def test_whatever_the_kernel_takes_the_wire_is_what_was_sent(path: Path, dice: random.Random) -> None:
    parts = []
    for _ in range(dice.randint(1, 4)):
        body = bytes([dice.choice(b"\r\nab")]) * dice.choice((0, 10, 9000, 30000))
        parts.append(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    data = b"".join(parts)
    sender = Sender(path.reset())
    while sender.sent < len(data):
        call = data[sender.sent : sender.sent + dice.choice((len(data), 100, 20000))]
        places = sorted(dice.randint(0, len(call)) for _ in range(dice.randint(0, 2)))
        messages = [call[left:right] for left, right in zip([0, *places], [*places, len(call)], strict=True)]
        room = dice.choice((0, 50, 300, 5000, 20000, 60000))
        segment = dice.choice((68, 536, 1460, 30000))
        takes = by_segments(segment, dice.randint(0, OVERHEAD))
        sender.send([message for message in messages if message], room, segment=segment, takes=takes)
    assert sender.wire == with_insertions(data, sender.inserted)
