"""Clients whose sockets are not in the sockhash: their requests are seen as they are sent, and nothing is put into them."""

import random

import pytest
from clew_agent.records import Outcome, Role
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.truth.path_host import Fault, Path, Stream, Thread

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b"GET /never HTTP/1.1\r\n\r\n" * 100
POST = b"POST /b HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
EAGAIN = -11


@pytest.fixture
def client(path: Path) -> tuple[Path, int]:
    return path, path.reset(inject=0).open(Role.CLIENT)


def test_a_request_is_a_child_of_the_one_that_is_served(client: tuple[Path, int]) -> None:
    path, connection = client
    trace, span = b"\x01" * 16, b"\x02" * 8
    field = b"traceparent: 00-" + trace.hex().encode() + b"-" + span.hex().encode() + b"-01\r\n"
    serving = path.open(Role.SERVER)
    path.read(serving, [GET[:-2] + field + b"\r\n"])
    path.write(connection, [GET])
    [asked] = path.read(connection, [OK]).records
    [served] = path.write(serving, [OK]).records
    assert (asked.trace_id, asked.parent_id) == (trace, served.span_id)
    assert (asked.request.role, asked.request.outcome, asked.request.status) == (Role.CLIENT, Outcome.COMPLETE, 200)
    assert path.counters()["not_injected_policy"] == 1


def test_a_full_sockhash_is_no_reason_to_lose_spans(path: Path) -> None:
    path.reset().fault(Fault.SOCKHASH, 1)
    connection = path.open(Role.CLIENT)
    path.write(connection, [GET])
    assert len(path.read(connection, [OK]).records) == 1
    assert path.counters() == {"connections": 1, "socket_full": 1, "client_requests": 1, "not_injected_policy": 1}


def test_the_policy_of_the_moment_of_connecting_counts(path: Path) -> None:
    connection = path.reset().open(Role.CLIENT)
    path.write(connection, [GET])
    assert "client_requests" not in path.counters()
    assert path.message(connection, [GET]).insertions != []


def test_a_head_that_the_kernel_does_not_take_is_uncertain(client: tuple[Path, int]) -> None:
    path, connection = client
    path.write(connection, [GET], EAGAIN)
    assert path.look(connection).outgoing is Stream.GIVEN_UP
    assert path.counters()["framing_lost"] == 1


@pytest.mark.parametrize("single", [False, True])
def test_a_body_that_is_cut_is_gone_on_with(client: tuple[Path, int], single: bool) -> None:
    path, connection = client
    path.write(connection, [POST], 500, single=single)
    path.write(connection, [POST[500:]], EAGAIN, single=single)
    path.write(connection, [POST[500:]], single=single)
    assert path.read(connection, [OK]).records[0].request.method == b"POST"
    path.write(connection, [GET], single=single)
    assert path.read(connection, [OK]).records[0].request.method == b"GET"
    assert path.counters()["send_cut"] == 2


def test_a_file_is_a_body(client: tuple[Path, int]) -> None:
    path, connection = client
    head = POST[: -len(BODY)]
    path.write(connection, [head])
    path.sendfile(connection, len(BODY))
    assert path.look(connection).outgoing is Stream.HEAD
    path.sendfile(connection, 1)
    assert path.look(connection).outgoing is Stream.GIVEN_UP
    assert path.counters()["framing_lost"] == 1
    assert len(path.read(connection, [OK]).records) == 1


def test_a_connection_that_is_older(path: Path) -> None:
    connection = path.reset().take_over(Role.CLIENT, observed=True)
    path.write(connection, [GET])
    path.sendfile(connection, 10)
    path.read(connection, [OK])
    path.write(connection, [GET])
    assert len(path.read(connection, [OK]).records) == 1
    assert path.counters()["client_requests"] == 1


@pytest.mark.parametrize("fault", [Fault.USER_READ, Fault.TAIL_CALL, Fault.HEADS, Fault.CONTEXTS])
def test_what_the_kernel_refuses_ends_recognition_alone(path: Path, fault: Fault) -> None:
    connection = path.reset(inject=0).open(Role.CLIENT)
    path.fault(fault, 1)
    for data in (GET[:10], GET[10:] + GET + GET, OK * 3):
        assert path.write(connection, [data]).result == 0
    path.fault(fault, 0)
    assert path.write(connection, [GET]).records == []


def test_an_answer_that_the_kernel_lets_nobody_see(client: tuple[Path, int]) -> None:
    """receive.c cannot call answer.c."""
    path, connection = client
    path.write(connection, [GET])
    path.fault(Fault.TAIL_CALL, 1)
    path.read(connection, [OK])
    look = path.look(connection)
    assert (look.incoming, look.outgoing, path.counters()["framing_lost"]) == (Stream.GIVEN_UP, Stream.GIVEN_UP, 1)
    path.close(connection)
    assert [record.request.outcome for record in path.records] == [Outcome.CLOSED]


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), single=st.booleans())
def test_however_it_is_cut(path: Path, seed: int, single: bool) -> None:
    """Requests in sends of any size, from any number of buffers."""
    dice = random.Random(seed)
    whole = b"".join(dice.choice([GET, POST]) for _ in range(5))
    connection = path.reset(inject=0).open(Role.CLIENT)
    at = 0
    while at < len(whole):
        size = dice.choice([1, 7, 40, 3000])
        data = whole[at : at + size]
        cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(8)))
        pieces = [data] if single else [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        path.write(connection, pieces, single=single, by=Thread(100, dice.choice([100, 101])))
        at += size
    records = path.read(connection, [OK * 5]).records
    expected = [whole[i : i + 4].split(b" ")[0] for i in range(len(whole)) if whole.startswith((GET, POST), i)]
    assert [record.request.method for record in records] == expected
    assert path.counters()["client_requests"] == len(expected) == 5
