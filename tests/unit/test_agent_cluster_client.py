"""What the agent makes of the API server's refusals."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from clew_agent.cluster.client import Api, ApiError
from kubernetes.client.configuration import Configuration


class Refusing(BaseHTTPRequestHandler):
    """Answers every request with the status that its path names."""

    def do_GET(self) -> None:
        body = json.dumps({"kind": "Status", "message": "storage is (re)initializing"}).encode()
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[Api]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Api(lambda: Configuration(host=f"http://127.0.0.1:{server.server_port}"))
        server.shutdown()


@pytest.mark.parametrize(("status", "passes"), [(403, False), (404, False), (410, False), (429, True), (500, False), (503, True)])
def test_a_refusal_says_why_and_whether_it_passes(api: Api, status: int, passes: bool) -> None:
    with pytest.raises(ApiError) as raised:
        api.get(f"/{status}")
    assert (raised.value.status, str(raised.value), raised.value.passes) == (status, "storage is (re)initializing", passes)


def test_a_server_that_is_away_is_waited_for() -> None:
    with pytest.raises(ApiError, match=r"the API server at http://127\.0\.0\.1:1 cannot be reached: ") as raised:
        Api(lambda: Configuration(host="http://127.0.0.1:1")).get("/")
    assert (raised.value.status, raised.value.passes) == (0, True)
