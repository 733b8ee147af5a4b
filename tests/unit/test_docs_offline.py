"""What the docs tell to type where no cluster is needed, typed."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.commands import pages
from tests.docs.terminal import Terminal

TRACE = "0a4d000365a8f1e0000007c1000004b0"
OTHER = "0a4d000465a8f1e0000008c1000004b0"
SECOND = 10**9


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path, os.environ)


@pytest.fixture
def spans(terminal: Terminal) -> None:
    """A file of two traces, one span each."""
    (terminal.folder / "spans.jsonl").write_text("".join(f"{line(trace, trace[:16])}\n" for trace in (TRACE, OTHER)))


def line(trace: str, span: str) -> str:
    one = {"traceId": trace, "spanId": span, "name": "GET", "kind": 2, "startTimeUnixNano": str(SECOND), "endTimeUnixNano": str(2 * SECOND)}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "clew"}, "spans": [one]}]}]})


@pytest.mark.usefixtures("spans")
def test_waterfalls(terminal: Terminal) -> None:
    whole = terminal.documented("clew waterfall spans.jsonl")
    assert (whole.count(f"Trace {TRACE}"), whole.count(f"Trace {OTHER}")) == (1, 1)
    one = terminal.documented("clew waterfall spans.jsonl --trace 0a4d0003")
    assert (one.count(f"Trace {TRACE}"), one.count(f"Trace {OTHER}")) == (1, 0)
    wide = terminal.documented("clew waterfall spans.jsonl --width 200")
    assert max(map(len, whole.splitlines())) < max(map(len, wide.splitlines())) <= 200
    terminal.documented("clew waterfall spans.jsonl --html trace.html")
    assert (terminal.folder / "trace.html").read_text().startswith("<!doctype html>")


def test_an_identifier_is_taken_apart(terminal: Terminal) -> None:
    assert terminal.documented("clew decode TRACE_OR_SPAN_ID", {"TRACE_OR_SPAN_ID": TRACE}).startswith(f"trace {TRACE}\n")


def test_a_policy_is_checked(terminal: Terminal) -> None:
    (terminal.folder / "policy.yaml").write_text(pages()["README.md"].split("```yaml\n")[1].split("```")[0])
    assert terminal.documented("clew check policy.yaml") == "policy.yaml: bookinfo is valid\n"


def test_a_wheel_is_built(terminal: Terminal) -> None:
    terminal.documented(".venv/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist .")
    assert [wheel.name.split("-")[0] for wheel in (terminal.folder / "dist").iterdir()] == ["clew"]


def test_a_kernel_says_its_release(terminal: Terminal) -> None:
    assert terminal.documented("uname -r") == f"{os.uname().release}\n"


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: this is no part of what is typed."""


@pytest.fixture
def served() -> Iterator[int]:
    """The port of a server that answers everything."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_load(terminal: Terminal, served: int) -> None:
    """For a second instead of a minute."""
    said = terminal.documented(
        "python -m clew_lab.load http://127.0.0.1:9080/productpage --rate 50 --seconds 60", {":9080": f":{served}", "60": "1"}
    )
    assert said.startswith("50 requests in ")
