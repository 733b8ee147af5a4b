"""What requests are called and what goes on: identifiers, flags, tracestate, adoption, sampling, and what is left alone."""

import pytest
from clew_agent.records import Outcome, Role

from tests.truth.path_host import MAIN, MSG_PEEK, Path, Stream, Thread

GET = b"GET / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
TRACE, PARENT = "12" * 16, "34" * 8
STRUCTURED = bytes.fromhex("0a0000016553f100000001c100000064")  # host, 1700000000 s, number 1, tag, process 100


@pytest.fixture
def path(path: Path) -> Path:
    """Each test begins where nothing has happened."""
    return path.reset()


def _request(flags: str = "01", *fields: str) -> bytes:
    return (
        b"GET / HTTP/1.1\r\n"
        + "".join(f"{field}\r\n" for field in (f"traceparent: 00-{TRACE}-{PARENT}-{flags}", *fields)).encode()
        + b"\r\n"
    )


def _sent(path: Path, request: bytes = GET) -> bytes:
    """What was put into a request that the pod sends on a fresh connection."""
    answer = path.send(path.open(Role.CLIENT), request)
    return b"".join(answer.data[at : at + length] for at, length in answer.insertions)


def _serve(path: Path, request: bytes) -> int:
    connection = path.open(Role.SERVER)
    path.read(connection, [request])
    return connection


def test_structured_identifiers(path: Path) -> None:
    connection = _serve(path, GET)
    assert _sent(path) == f"traceparent: 00-{STRUCTURED.hex()}-0002000300000002-01\r\n".encode()
    [record] = path.write(connection, [OK]).records
    assert (record.trace_id, record.span_id, record.parent_id) == (STRUCTURED, bytes.fromhex("0003000200000001"), bytes(8))
    said = record.request
    assert (said.method, said.path, said.status, said.http_minor, said.trace_flags) == (b"GET", b"/", 200, 1, 1)
    assert (said.pod, said.pid, said.tid, said.thread_name) == (7, 100, 100, "service")
    assert said.cgroup == 100 << 16 | 9


def test_addresses(path: Path) -> None:
    local, remote = bytes(range(16)), bytes(range(16, 32))
    connection = path.open(Role.CLIENT, local=local, remote=remote, ports=(40000, 443))
    path.send(connection, GET)
    [record] = path.read(connection, [OK]).records
    said = record.request
    assert (said.local_address, said.remote_address, said.local_port, said.remote_port) == (local, remote, 40000, 443)
    assert record.span_id.hex() == "0e0f1e1f00000001"


def test_random_identifiers(path: Path) -> None:
    assert _sent(path.reset(random_ids=1)) == b"traceparent: 00-" + b"0" * 24 + b"01000000-0000000001000000-03\r\n"


@pytest.mark.parametrize(("flags", "on"), [("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"), ("ff", "03"), ("fc", "00")])
def test_the_decision_goes_on_as_it_came(path: Path, flags: str, on: str) -> None:
    connection = _serve(path, _request(flags))
    assert _sent(path) == f"traceparent: 00-{TRACE}-0002000300000002-{on}\r\n".encode()
    records = path.write(connection, [OK]).records
    assert [record.parent_id.hex() for record in records] == [PARENT] * (int(on) & 1)


@pytest.mark.parametrize(
    ("policy", "request_", "on"),
    [
        ({"threshold": 0}, GET, "00"),
        ({"threshold": 0}, _request("01"), "01"),
        ({"threshold": 0, "parent_based": 0}, _request("01"), "00"),
        ({"parent_based": 0}, _request("00"), "01"),
        ({"threshold": 0, "extract": 0}, _request("01"), "00"),
    ],
)
def test_sampling(path: Path, policy: dict[str, int], request_: bytes, on: str) -> None:
    connection = _serve(path.reset(**policy), request_)
    assert _sent(path)[-4:] == f"{on}\r\n".encode()
    assert len(path.write(connection, [OK]).records) == int(on)


def test_rate(path: Path) -> None:
    path.reset(max_per_second=2)
    assert [_sent(path)[-3:-2] for _ in range(4)] == [b"1", b"1", b"0", b"0"]
    assert path.counters()["rate_limited"] == 2


def test_not_extracted(path: Path) -> None:
    connection = _serve(path.reset(extract=0), _request("01", "tracestate: a=b"))
    [record] = path.write(connection, [OK]).records
    assert (record.trace_id, record.parent_id) == (STRUCTURED, bytes(8))


def test_not_injected(path: Path) -> None:
    path.write(path.reset(inject=0).open(Role.CLIENT), [GET])
    assert path.counters() == {"connections": 1, "client_requests": 1, "not_injected_policy": 1}


def test_tracestate_goes_on(path: Path) -> None:
    connection = _serve(path, _request("01", "tracestate: a=1", "TraceState:b=2"))
    on = f"traceparent: 00-{TRACE}-0002000300000002-01\r\ntracestate: a=1,b=2\r\n".encode()
    assert _sent(path) == on
    assert _sent(path, b"GET / HTTP/1.1\r\nTracestate: own=1\r\n\r\n").count(b"\r\n") == 1
    path.write(connection, [OK])
    assert b"tracestate" not in _sent(path)


def test_tracestate_of_512_characters_goes_on(path: Path) -> None:
    state = "a=" + "1" * 510
    _serve(path, _request("01", f"tracestate: {state}"))
    assert _sent(path).endswith(f"\r\ntracestate: {state}\r\n".encode())


def test_what_the_application_makes_is_adopted(path: Path) -> None:
    connection = path.open(Role.CLIENT)
    assert path.send(connection, _request("00")).data == _request("00")
    assert path.read(connection, [OK]).records == []
    path.send(connection, _request("03"))
    [record] = path.read(connection, [OK]).records
    assert (record.trace_id.hex(), record.parent_id.hex(), record.request.adopted, record.request.trace_flags) == (TRACE, PARENT, 1, 3)
    assert path.counters()["adopted"] == 2


def test_what_the_application_only_forwards_keeps_its_place(path: Path) -> None:
    _serve(path, _request())
    span = path.context(MAIN)
    connection = path.open(Role.CLIENT)
    assert path.send(connection, _request()).data == _request()
    [record] = path.read(connection, [OK]).records
    assert (record.trace_id.hex(), record.parent_id) == (TRACE, span)


def test_two_traceparents_are_none_and_get_no_third(path: Path) -> None:
    twice = _request("01", f"traceparent: 00-{TRACE}-{PARENT}-01")
    connection = _serve(path, twice)
    assert _sent(path, twice) == b""
    [record] = path.write(connection, [OK]).records
    assert record.parent_id == bytes(8)


def test_lines_that_end_in_a_bare_lf_are_left_alone(path: Path) -> None:
    for request in (b"GET / HTTP/1.1\n\n", b"GET / HTTP/1.1\r\nA: b\n\r\n", b"GET / HTTP/1.1\r\n\n"):
        assert _sent(path, request) == b""
    assert path.counters()["not_injected_form"] == 3


def test_the_agent_is_left_alone(path: Path) -> None:
    connection = path.reset(agent=100).open(Role.CLIENT)
    assert path.send(connection, GET).data == GET
    assert path.look(connection).outgoing is Stream.GIVEN_UP
    assert path.counters() == {"connections": 1}


def test_a_look_at_what_has_come_is_no_read(path: Path) -> None:
    connection = path.open(Role.SERVER)
    path.read(connection, [GET], flags=MSG_PEEK)
    path.read(connection, [GET], by=Thread(100, 101))
    path.read(connection, [GET], -11)
    assert path.look(connection).begun == 1
    assert path.context(MAIN) == b""


def test_buffers_longer_than_what_was_read(path: Path) -> None:
    for single in (False, True):
        connection = path.open(Role.SERVER)
        path.read(connection, [GET + b"?" * 50], len(GET), single=single)
        path.read(connection, [GET[:7], b"", GET[7:] + b"?", b"??"], len(GET))
        answer = path.write(connection, [OK + b"?" * 9], len(OK), single=single)
        assert (answer.begun, answer.ended, answer.incoming) == (2, 1, Stream.HEAD)


def test_sendfile(path: Path) -> None:
    connection = _serve(path, GET + GET)
    path.write(connection, [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"])
    assert path.sendfile(connection, 4096).records == []
    [record] = path.sendfile(connection, 904).records
    assert (record.request.outcome, record.request.status) == (Outcome.COMPLETE, 200)
    [record] = path.sendfile(connection, 10).records  # a head can't be read from a file
    assert (record.request.outcome, record.request.status) == (Outcome.LOST, 0)


def test_splice(path: Path) -> None:
    connection = path.reset().open(Role.CLIENT)
    path.send(connection, GET)
    path.read(connection, [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nbegin"])
    assert path.splice(connection, 4000).records == []
    [record] = path.splice(connection, 995).records
    assert (record.request.outcome, record.request.status) == (Outcome.COMPLETE, 200)
    assert len(path.send(connection, GET).insertions) == 1
    path.read(connection, [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"])
    assert path.splice(connection, 7).incoming is Stream.CHUNK_SIZE
    [record] = path.read(connection, [b"0\r\n\r\n"]).records
    assert record.request.outcome == Outcome.COMPLETE
    path.send(connection, GET)
    [record] = path.splice(connection, 10).records  # a head can't be read in a pipe
    assert (record.request.outcome, record.request.status) == (Outcome.LOST, 0)
    assert path.send(connection, GET).insertions == []


def test_splice_of_a_request(path: Path) -> None:
    connection = path.reset().open(Role.SERVER)
    path.read(connection, [b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n"])
    assert path.splice(connection, 60).left[0] == 40
    assert path.splice(connection, 41).incoming is Stream.GIVEN_UP
    [record] = path.write(connection, [OK]).records
    assert (record.request.outcome, record.request.status) == (Outcome.COMPLETE, 200)


def test_a_server_connection_older_than_the_agent_is_found_at_a_request(path: Path) -> None:
    connection = path.take_over(Role.SERVER)
    for data in (b"the rest of a body", b"\r\n0\r\n\r\n", GET[:5], GET[5:]):
        assert path.read(connection, [data]).incoming is Stream.UNSYNCED
    path.read(connection, [GET])
    [record] = path.write(connection, [OK]).records
    assert (record.request.outcome, record.request.status) == (Outcome.COMPLETE, 200)


def test_a_client_connection_older_than_the_agent_is_found_behind_a_whole_response(path: Path) -> None:
    connection = path.take_over(Role.CLIENT)
    assert path.send(connection, GET).data == GET
    path.read(connection, [b"half a body"])
    assert path.send(connection, GET).data == GET
    assert path.read(connection, [OK[:-1]]).outgoing is Stream.UNSYNCED
    assert path.read(connection, [OK[-1:]]).outgoing is Stream.HEAD
    assert len(path.send(connection, GET).insertions) == 1
    [record] = path.read(connection, [OK]).records
    assert (record.request.outcome, record.request.status) == (Outcome.COMPLETE, 200)
