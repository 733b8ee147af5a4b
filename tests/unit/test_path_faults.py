"""Where the kernel refuses something, bytes go on as they were, the loss is counted, and the next connection is none the worse."""

from collections.abc import Iterator

import pytest
from clew_agent.records import Outcome, Role

from tests.truth.path_host import Fault, Path, Stream

DROP = 0  # enum sk_action
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
LONG = b"GET /long HTTP/1.1\r\nX: " + b"x" * 2000 + b"\r\n\r\n"


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with Path() as running:
        yield running
        assert running.reset().counters() == {}


def _injected(path: Path) -> bytes:
    """What goes on of a request on a fresh connection, less what was put in. It has to have been."""
    answer = path.send(path.open(Role.CLIENT), GET)
    [(at, length)] = answer.insertions
    assert (at, length) == (len(GET) - 2, 70)
    return answer.data[:at] + answer.data[at + length :]


def _losses(path: Path) -> dict[str, int]:
    usual = ("connections", "client_requests", "server_requests", "injected")
    return {name: value for name, value in path.counters().items() if name not in usual}


@pytest.mark.parametrize(
    ("fault", "nth", "counter", "followed"),
    [
        (Fault.PUSH, 1, {"not_injected_space": 1}, True),
        (Fault.PULL, 1, {"head_unreadable": 1}, False),
        (Fault.PULL, 2, {"not_injected_space": 1}, True),  # behind the push, which is taken back
        (Fault.CONTEXTS, 1, {"context_full": 1}, True),
    ],
)
def test_a_request_that_cannot_be_added_to(path: Path, fault: Fault, nth: int, counter: dict[str, int], followed: bool) -> None:
    connection = path.reset().open(Role.CLIENT)
    path.fault(fault, nth)
    for pieces in ([GET], [GET[:9], GET[9:]]):
        answer = path.message(connection, pieces)
        path.sent(connection, len(GET), len(GET))
        assert answer.result == 1
        assert answer.data == GET
        if pieces == [GET]:
            assert _losses(path) == counter
            assert (answer.outgoing is Stream.HEAD) is followed
    path.fault(fault, 0)
    assert _injected(path) == GET


def test_what_was_added_in_part_and_cannot_be_taken_back_does_not_go(path: Path) -> None:
    connection = path.reset().open(Role.CLIENT)
    path.fault(Fault.PULL, 2)
    path.fault(Fault.POP)
    assert path.message(connection, [GET]).result == DROP
    assert _losses(path) == {"not_injected_space": 1, "send_torn": 1}
    path.fault(Fault.PULL, 0)
    assert path.message(connection, [GET]).result == DROP


def test_without_memory_to_draw_the_head_together_it_is_added_to_in_its_pieces(path: Path) -> None:
    path.reset().fault(Fault.COPY)
    assert _injected(path) == GET
    assert _losses(path) == {}


def test_a_long_head_that_cannot_be_read_on(path: Path) -> None:
    connection = path.reset().open(Role.CLIENT)
    path.fault(Fault.TAIL_CALL)
    assert path.send(connection, LONG).data == LONG
    assert _losses(path) == {"framing_lost": 1}
    assert path.look(connection).outgoing is Stream.GIVEN_UP
    path.fault(Fault.TAIL_CALL, 0)
    assert _injected(path) == GET


def test_the_second_of_two_requests_behind_a_refused_tail_call(path: Path) -> None:
    connection = path.reset().open(Role.CLIENT)
    path.fault(Fault.TAIL_CALL)
    answer = path.send(connection, GET + GET)
    at = len(GET) - 2
    assert answer.insertions == [(at, 70)]
    assert answer.data[:at] + answer.data[at + 70 :] == GET + GET
    assert _losses(path) == {"framing_lost": 1}


@pytest.mark.parametrize("bad", [b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", b"Content-Length: x\r\n\r\nGET / HTTP/1.1\r\n\r\n"])
def test_a_stream_given_up_in_the_middle_of_a_message_holds_nothing(path: Path, bad: bytes) -> None:
    request = b"POST / HTTP/1.1\r\n" + bad
    answer = path.reset().send(path.open(Role.CLIENT), request)
    at = request.index(b"\r\n\r\n") + 2
    assert answer.insertions == [(at, 70)]
    assert answer.data[:at] + answer.data[at + 70 :] == request
    assert _losses(path) == {"framing_lost": 1}
    assert _injected(path) == GET


def test_no_room_for_the_beginning_of_a_head(path: Path) -> None:
    for forget in (False, True):
        connection = path.reset().open(Role.CLIENT)
        path.fault(Fault.HEADS, 0 if forget else 1)
        assert path.send(connection, GET[:10]).data == GET[:10]
        if forget:
            path.forget_heads()
        assert path.send(connection, GET[10:]).data == GET[10:]
        assert _losses(path) == {"partial_full": 1}
        assert path.look(connection).outgoing is Stream.GIVEN_UP


def test_no_room_in_the_send_buffer(path: Path) -> None:
    connection = path.reset().open(Role.CLIENT)
    insertion, overhead = 70, 2048
    end = len(GET) - 2 + insertion
    for segment in (1460, 68):
        needed = end + (2 + end // segment) * overhead
        path.room(connection, queued=1000, limit=1000 + needed, segment=segment)
        assert path.send(connection, GET).data == GET
        path.room(connection, queued=1000, limit=1001 + needed, segment=segment)
        assert path.send(connection, GET).insertions == [(len(GET) - 2, insertion)]
    assert _losses(path) == {"not_injected_space": 2}


@pytest.mark.parametrize("low", ["low", "low_of_all"])
def test_less_that_is_not_sent_than_the_application_wants(path: Path, low: str) -> None:
    """TCP_NOTSENT_LOWAT, of the socket or of the system."""
    end = len(GET) - 2 + 70
    connection = path.reset().open(Role.CLIENT)
    path.room(connection, queued=0, limit=1 << 20, unsent=500, **{low: 500 + end})
    assert path.send(connection, GET).data == GET
    path.room(connection, queued=0, limit=1 << 20, unsent=500, **{low: 501 + end})
    assert path.send(connection, GET).insertions == [(len(GET) - 2, 70)]
    assert _losses(path) == {"not_injected_space": 1}


def test_a_connection_without_a_segments_size_is_left_alone(path: Path) -> None:
    connection = path.reset().open(Role.CLIENT)
    path.room(connection, queued=0, limit=1 << 20, segment=0)
    assert path.send(connection, GET).data == GET
    assert _losses(path) == {"not_injected_space": 1}


def test_another_connection_under_way_on_this_cpu(path: Path) -> None:
    for rounds in (0, 3):
        connection = path.reset().open(Role.CLIENT)
        path.interrupt(rounds)
        assert path.send(connection, GET).data == GET
        path.interrupt(-1)
        assert _losses(path) == {"busy": 1}
        assert path.send(connection, GET).data == GET
        assert _injected(path) == GET


def test_a_connection_that_cannot_be_kept(path: Path) -> None:
    path.reset().fault(Fault.STORAGE)
    connection = path.open(Role.CLIENT)
    assert path.send(connection, GET).data == GET
    assert path.counters() == {"socket_full": 1}
    path.reset().fault(Fault.SOCKHASH)
    path.open(Role.CLIENT)
    assert path.counters() == {"connections": 1, "socket_full": 1}


def test_a_full_ring(path: Path) -> None:
    connection = path.reset().open(Role.SERVER)
    path.fault(Fault.RING)
    path.read(connection, [GET])
    assert path.write(connection, [OK]).records == []
    assert _losses(path) == {"ring_full": 1}


def test_no_room_for_an_open_request_of_a_server(path: Path) -> None:
    connection = path.reset().open(Role.SERVER)
    path.fault(Fault.CONTEXTS)
    path.read(connection, [GET])
    assert path.write(connection, [OK]).outgoing is Stream.GIVEN_UP
    assert _losses(path) == {"context_full": 1, "framing_lost": 1}
    assert path.records == []


def test_no_connection_leaves_open_requests_behind(path: Path) -> None:
    for role in (Role.SERVER, Role.CLIENT):
        connection = path.reset().open(role)
        for _ in range(40):
            answer = path.read(connection, [GET]) if role is Role.SERVER else path.send(connection, GET)
        assert (answer.begun, answer.opened) == (40, 30)
        assert _losses(path) == {"context_full": 10}
        answer = path.close(connection)
        assert [record.request.outcome for record in answer.records] == [Outcome.CLOSED] * 30
        assert answer.opened == 0


def test_no_room_for_a_tracestate(path: Path) -> None:
    server = path.reset().open(Role.SERVER)
    path.fault(Fault.TRACESTATES)
    path.read(server, [b"GET / HTTP/1.1\r\ntraceparent: 00-" + b"12" * 16 + b"-" + b"34" * 8 + b"-01\r\ntracestate: a=b\r\n\r\n"])
    data = path.send(path.open(Role.CLIENT), GET).data
    assert b"traceparent: 00-" + b"12" * 16 in data
    assert b"tracestate" not in data
    assert _losses(path) == {"context_full": 1}


def test_memory_of_the_application_that_cannot_be_read(path: Path) -> None:
    connection = path.reset().open(Role.SERVER)
    path.fault(Fault.USER_READ)
    assert path.read(connection, [GET]).incoming is Stream.GIVEN_UP
    assert _losses(path) == {"head_unreadable": 1}
    connection = path.reset().open(Role.SERVER)
    path.read(connection, [GET])
    path.fault(Fault.USER_READ)
    [record] = path.write(connection, [OK]).records
    assert (record.request.outcome, record.request.status) == (Outcome.LOST, 0)


def test_a_head_in_more_pieces_than_are_looked_into(path: Path) -> None:
    connection = path.reset().open(Role.SERVER)
    path.read(connection, [GET[at : at + 1] for at in range(15)] + [GET[15:]])
    assert _losses(path) == {}
    path.write(connection, [OK[at : at + 1] for at in range(16)] + [OK[16:]])
    assert _losses(path) == {"head_unreadable": 1}


def test_a_head_in_shared_pages_and_as_many_pieces_as_a_message_has(path: Path) -> None:
    for shared in (0, (1 << 17) - 1):
        for pieces in (17, 16):
            parts = [*(GET[at : at + 1] for at in range(pieces - 1)), GET[pieces - 1 :]]
            for body in ([], [b"b" * 50]):
                connection = path.reset().open(Role.CLIENT)
                answer = path.message(connection, [*parts, *body][:17], shared=shared)
                assert answer.insertions == [(len(GET) - 2, 70)]
                at = len(GET) - 2
                assert answer.data[:at] + answer.data[at + 70 :] == b"".join([*parts, *body][:17])
