"""The load generator against a real server on a loopback socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from clew_lab.load import LoadError, closed_loop, get, open_loop, response_length


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


def test_closed_loop_sends_each_request_once(server: Server) -> None:
    result = closed_loop(at(server), lambda number: get("a", f"/{number}"), connections=4, count=50)
    assert (result.requests, result.failures) == (50, 0)
    assert sorted(server.seen) == sorted(f"/{number}" for number in range(50))
    assert all(latency > 0 for latency in result.latencies_ns)


def test_fewer_requests_than_connections(server: Server) -> None:
    assert closed_loop(at(server), lambda _: get("a", "/"), connections=8, count=3).requests == 3


def test_closed_loop_ends_after_its_seconds(server: Server) -> None:
    result = closed_loop(at(server), lambda _: get("a", "/"), connections=2, seconds=0.05)
    assert result.requests == len(server.seen) > 0
    assert 0.05 <= result.seconds < 5


def test_answers_that_are_no_success_are_counted(server: Server) -> None:
    assert closed_loop(at(server), lambda _: get("a", "/bad"), connections=1, count=3).failures == 3


def test_a_connection_that_the_server_closes_is_replaced(server: Server) -> None:
    result = closed_loop(at(server), lambda _: get("a", "/close"), connections=2, count=10)
    assert (result.requests, result.failures) == (10, 0)


def test_a_request_that_asks_to_close_is_the_last_of_its_connection(server: Server) -> None:
    result = closed_loop(at(server), lambda _: get("a", "/", close=True), connections=2, count=20)
    assert (result.requests, result.failures) == (20, 0)


def test_open_loop_sends_its_rate(server: Server) -> None:
    result = open_loop(at(server), lambda number: get("a", f"/{number}"), rate=200, seconds=0.2, connections=4)
    assert (result.requests, result.failures) == (40, 0)
    assert result.seconds >= 39 / 200


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
