"""The load generator against real servers on loopback sockets, and what it says of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from clew_lab.load import Failures, LoadError, LoadResult, closed_loop, get, open_loop, percentile, response_length
from clew_lab.load.__main__ import main
from clew_lab.load.result import to_json, to_text
from hypothesis import given
from hypothesis import strategies as st

LAB = Path(__file__).parents[2] / "lab"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        self.server.seen.append(self.path)  # type: ignore[attr-defined]  # the fixture's list, on the stdlib's server
        status = 500 if self.path == "/bad" else 200
        self.send_response(status)
        self.send_header("Content-Length", "2")
        if self.path == "/close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


class Server(ThreadingHTTPServer):
    request_queue_size = 64
    seen: list[str]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.seen = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def at(server: Server) -> tuple[str, int]:
    return ("127.0.0.1", server.server_port)


@contextmanager
def scripted(serve: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """A server that does with its listening socket what `serve` says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()
        thread.join()


def counts(result: LoadResult) -> dict[str, int]:
    """Failures by reason."""
    return {reason: group.count for reason, group in result.failed.items()}


def test_closed_loop_sends_each_request_once(server: Server) -> None:
    result = closed_loop(at(server), lambda number: get("a", f"/{number}"), connections=4, count=50)
    assert (result.requests, result.failed) == (50, {})
    assert sorted(server.seen) == sorted(f"/{number}" for number in range(50))
    assert len(result.latencies_ns) == 50
    assert all(latency > 0 for latency in result.latencies_ns)


def test_fewer_requests_than_connections(server: Server) -> None:
    assert closed_loop(at(server), lambda _: get("a", "/"), connections=8, count=3).requests == 3


def test_closed_loop_ends_after_its_seconds(server: Server) -> None:
    result = closed_loop(at(server), lambda _: get("a", "/"), connections=2, seconds=0.05)
    assert result.requests == len(server.seen) > 0
    assert 0.05 <= result.seconds < 5


def test_a_source_ends_a_closed_loop(server: Server) -> None:
    result = closed_loop(at(server), lambda number: get("a", "/") if number < 7 else None, connections=2, seconds=3600)
    assert (result.requests, len(server.seen)) == (7, 7)


def test_a_source_ends_an_open_loop(server: Server) -> None:
    result = open_loop(at(server), lambda number: get("a", "/") if number < 7 else None, rate=1000, seconds=3600, connections=2)
    assert (result.requests, len(server.seen)) == (7, 7)


def test_answers_that_are_no_success_fail(server: Server) -> None:
    result = closed_loop(at(server), lambda number: get("a", "/bad" if number % 2 else "/"), connections=1, count=6)
    assert (result.requests, result.failures, counts(result)) == (6, 3, {"status 500": 3})
    assert len(result.latencies_ns) == 3
    assert 0 < result.failed["status 500"].first < result.failed["status 500"].last < result.seconds


def test_a_connection_that_the_server_closes_is_replaced(server: Server) -> None:
    result = closed_loop(at(server), lambda _: get("a", "/close"), connections=2, count=10)
    assert (result.requests, result.failed) == (10, {})


def test_a_request_that_asks_to_close_is_the_last_of_its_connection(server: Server) -> None:
    result = closed_loop(at(server), lambda _: get("a", "/", close=True), connections=2, count=20)
    assert (result.requests, result.failed) == (20, {})


def test_open_loop_sends_its_rate(server: Server) -> None:
    result = open_loop(at(server), lambda number: get("a", f"/{number}"), rate=200, seconds=0.2, connections=4)
    assert (result.requests, result.failed) == (40, {})
    assert result.seconds >= 39 / 200


def test_latency_counts_from_when_a_request_was_due() -> None:
    """The first answer takes 200 ms, in which 19 more requests fall due; none of them may look quick."""

    def slow_at_first(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            threading.Event().wait(0.2)
            connection.sendall(OK)
            for _ in range(29):
                connection.recv(65536)
                connection.sendall(OK)

    with scripted(slow_at_first) as address:
        result = open_loop(address, lambda _: get("a", "/"), rate=100, seconds=0.3, connections=1)
    assert (result.requests, result.failed) == (30, {})
    assert all(latency >= (200 - 10 * number) * 1_000_000 for number, latency in enumerate(result.latencies_ns))


@pytest.mark.parametrize(
    ("sent", "ends", "reason"),
    [
        (OK[:-1], True, "the connection ended inside the answer"),
        (b"", True, "the connection ended without an answer"),
        (b"", False, "no answer within 0.3 s"),
        (OK[:-1], False, "no answer within 0.3 s"),
    ],
)
def test_a_request_that_is_not_answered_fails_and_the_run_goes_on(sent: bytes, ends: bool, reason: str) -> None:
    def serve(listener: socket.socket) -> None:
        first, _ = listener.accept()
        with first:
            first.recv(65536)
            first.sendall(sent)
            if not ends:
                assert first.recv(65536) == b""
        second, _ = listener.accept()
        with second:
            second.recv(65536)
            second.sendall(OK)

    with scripted(serve) as address:
        result = closed_loop(address, lambda _: get("a", "/"), connections=1, count=2, patience=0.3)
    assert (result.requests, len(result.latencies_ns), counts(result)) == (2, 1, {reason: 1})


def test_a_reset_connection_is_a_failure() -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        listener.close()
        connection.recv(1)
        connection.close()

    with scripted(serve) as address:
        result = closed_loop(address, lambda _: get("a", "/"), connections=1, count=1)
    assert (result.requests, counts(result)) == (1, {"Connection reset by peer": 1})


def test_a_closed_loop_ends_though_nobody_listens_any_more() -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        listener.close()
        connection.recv(65536)
        connection.sendall(OK)
        connection.recv(65536)
        connection.close()

    with scripted(serve) as address:
        result = closed_loop(address, lambda _: get("a", "/"), connections=1, count=9)
    assert (result.requests, len(result.latencies_ns)) == (9, 1)
    assert counts(result) == {"the connection ended without an answer": 1, "Connection refused": 7}


def test_a_loop_needs_an_end() -> None:
    with pytest.raises(ValueError, match="needs a count"):
        closed_loop(("127.0.0.1", 1), lambda _: b"", connections=1)


def test_nobody_listens() -> None:
    with pytest.raises(ConnectionRefusedError):
        closed_loop(("127.0.0.1", 1), lambda _: b"", connections=1, count=1)


@pytest.mark.parametrize(
    ("received", "length"),
    [
        (b"", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", 41),
        (b"HTTP/1.1 200 OK\r\nX: 1\r\ncontent-length:0\r\n\r\n", 43),
    ],
)
def test_response_length(received: bytes, length: int | None) -> None:
    assert response_length(received) == length


def test_other_framing_is_refused() -> None:
    with pytest.raises(LoadError, match="without Content-Length"):
        response_length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("answer", [b"SMTP 220\r\nContent-Length: 0\r\n\r\n", OK + b"more"])
def test_what_is_no_http_ends_the_load(answer: bytes) -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    with scripted(serve) as address, pytest.raises(LoadError):
        closed_loop(address, lambda _: get("a", "/"), connections=1, count=1)


def test_what_comes_unasked_closes_the_connection_and_fails_nothing() -> None:
    asked = threading.Event()

    def serve(listener: socket.socket) -> None:
        first, _ = listener.accept()
        second, _ = listener.accept()
        with first, second:
            second.sendall(OK)
            first.recv(65536)
            first.sendall(OK)
            third, _ = listener.accept()
            with third:
                third.recv(65536)
                third.sendall(OK)
        asked.set()

    with scripted(serve) as address:
        result = open_loop(address, lambda _: get("a", "/"), rate=20, seconds=0.1, connections=2)
    assert (result.requests, result.failed, asked.is_set()) == (2, {}, True)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5], 0.5, 5),
        ([1, 2, 3, 4], 0.5, 2),
        ([4, 3, 2, 1], 0.75, 3),
        (range(1, 101), 0.99, 99),
        (range(1, 101), 1.0, 100),
        ([1, 9], 0.01, 1),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[int], share: float, expected: int) -> None:
    assert percentile(values, share) == expected


@given(st.lists(st.integers(min_value=0), min_size=1), st.floats(min_value=0.001, max_value=1))
def test_a_percentile_covers_its_share(values: list[int], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) * (1 - 1e-12)


@pytest.mark.parametrize("share", [0, 1.1, -1])
def test_a_share_is_above_0_and_at_most_1(share: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        percentile([1], share)


def test_a_percentile_needs_values() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


RESULT = LoadResult(
    [number * 100_000 for number in range(1, 101)], 8.0, {"status 503": Failures(3, 1.25, 4.5), "Connection refused": Failures(1, 7.0, 7.0)}
)


def test_a_result_as_text() -> None:
    assert to_text(RESULT) == (
        "104 requests in 8.0 s (13.0/s), 4 failed\n"
        "latency p50 5.0 ms, p90 9.0 ms, p99 9.9 ms, max 10.0 ms\n"
        "failed 3: status 503 (from 1.2 s to 4.5 s)\n"
        "failed 1: Connection refused (from 7.0 s to 7.0 s)\n"
    )


def test_a_result_as_json() -> None:
    assert to_json(RESULT) == {
        "requests": 104,
        "failures": 4,
        "seconds": 8.0,
        "latency_ms": {"p50": 5.0, "p90": 9.0, "p99": 9.9, "max": 10.0},
        "failed": [
            {"reason": "status 503", "count": 3, "first": 1.25, "last": 4.5},
            {"reason": "Connection refused", "count": 1, "first": 7.0, "last": 7.0},
        ],
    }


def test_a_result_without_an_answer() -> None:
    nothing = LoadResult([], 2.0, {"Connection refused": Failures(2, 0.5, 1.0)})
    assert to_text(nothing) == "2 requests in 2.0 s (1.0/s), 2 failed\nfailed 2: Connection refused (from 0.5 s to 1.0 s)\n"
    assert to_json(nothing)["latency_ms"] == {}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "clew_lab.load", *arguments]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(LAB)}


def test_the_command_sends_a_rate_and_prints_json(server: Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}/page?id=0"
    done = subprocess.run(
        command(url, "--rate", "50", "--seconds", "0.2", "--json"), env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert (told["requests"], told["failures"], told["failed"]) == (10, 0, [])
    assert list(told["latency_ms"]) == ["p50", "p90", "p99", "max"]
    assert server.seen == ["/page?id=0"] * 10


def test_the_command_keeps_a_concurrency_and_fails_when_a_request_did(server: Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}/bad"
    done = subprocess.run(
        command(url, "--concurrency", "4", "--seconds", "0.1"), env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    seen = len(server.seen)
    assert done.returncode == 1
    assert done.stdout.split(" requests ")[0] == str(seen)
    assert done.stdout.splitlines()[0].endswith(f", {seen} failed")
    assert done.stdout.splitlines()[1].startswith(f"failed {seen}: status 500 (from ")


def test_a_signal_ends_the_command_early_with_its_figures() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with subprocess.Popen(command(url, "--concurrency", "1", "--json"), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as load:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                load.send_signal(signal.SIGTERM)
                connection.sendall(OK)
                told = json.loads(load.communicate()[0])
    assert (load.returncode, told["requests"], told["failures"]) == (0, 1, 0)


def test_the_command_says_when_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["http://127.0.0.1:1/x", "--rate", "1"]) == 2
    assert capsys.readouterr() == ("", "load: http://127.0.0.1:1/x: [Errno 111] Connection refused\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["https://a/", "--rate", "1"], "'https://a/' is not of the form http://HOST[:PORT]/PATH"),
        (["http://a:port/", "--rate", "1"], "'http://a:port/' is not of the form http://HOST[:PORT]/PATH"),
        (["http://a/"], "one of the arguments --rate --concurrency is required"),
        (["http://a/", "--rate", "0"], "0 is not above 0"),
        (["http://a/", "--rate", "inf"], "inf is not above 0"),
        (["http://a/", "--concurrency", "-1"], "-1 is not above 0"),
    ],
)
def test_arguments_that_make_no_load(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"{said}\n")
