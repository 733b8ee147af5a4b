"""The client against a real HTTP server that answers as an API server may: every failure is told apart, none is tried again."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from clew_operator.client import Api, ApiError, ConnectionSettingsError, Fault, load_configuration
from clew_operator.kinds import Kind


class Server(ThreadingHTTPServer):
    """Answers with ``answers`` in turn, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], Any]] = []
        self.asked: list[tuple[str, str, str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append((self.command, self.path, self.headers.get("Content-Type", ""), body))
        status, headers, document = self.server.answers.pop(0)
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(payload)), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def do_GET(self) -> None:
        self.answer()

    def do_PATCH(self) -> None:
        self.answer()

    def do_DELETE(self) -> None:
        self.answer()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def write_kubeconfig(path: Path, url: str) -> Path:
    document = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def api(server: Server, tmp_path: Path) -> Api:
    return Api(load_configuration(write_kubeconfig(tmp_path / "config", f"http://127.0.0.1:{server.server_port}")))


STATUS = {"kind": "Status", "message": "so it is"}


@pytest.mark.parametrize(
    ("status", "headers", "body", "fault", "retry_after", "message"),
    [
        (409, {}, STATUS, Fault.CONFLICT, 0.0, "409 Conflict: so it is"),
        (404, {}, STATUS, Fault.MISSING, 0.0, "404 Not Found: so it is"),
        (429, {"Retry-After": "7"}, STATUS, Fault.THROTTLED, 7.0, "429 Too Many Requests: so it is"),
        (500, {}, STATUS, Fault.SERVER, 0.0, "500 Internal Server Error: so it is"),
        (503, {"Retry-After": "Wed, 25 Nov 2026 10:00:00 GMT"}, b"no JSON", Fault.SERVER, 0.0, "503 Service Unavailable: no JSON"),
        (403, {}, STATUS, Fault.REFUSED, 0.0, "403 Forbidden: so it is"),
        (422, {}, STATUS, Fault.REFUSED, 0.0, "422 Unprocessable Entity: so it is"),
    ],
)
def test_failures_are_told_apart(
    server: Server, api: Api, status: int, headers: dict[str, str], body: Any, fault: Fault, retry_after: float, message: str
) -> None:
    server.answers = [(status, headers, body)]
    with pytest.raises(ApiError) as caught:
        api.apply(Kind.TRACING, {"metadata": {"name": "n1"}})
    assert (caught.value.fault, caught.value.retry_after, str(caught.value)) == (fault, retry_after, message)
    assert len(server.asked) == 1


def test_apply_is_server_side_and_forced(server: Server, api: Api) -> None:
    server.answers = [(200, {}, {"kind": "NodeTracing"}), (200, {}, {})]
    assert api.apply(Kind.TRACING, {"metadata": {"name": "n1"}}) == {"kind": "NodeTracing"}
    api.apply(Kind.POLICY, {"metadata": {"name": "p"}, "status": {}}, status=True)
    query = "fieldManager=clew-operator&force=true"
    assert server.asked == [
        ("PATCH", f"/apis/clew.dev/v1alpha1/nodetracings/n1?{query}", "application/apply-patch+yaml", {"metadata": {"name": "n1"}}),
        (
            "PATCH",
            f"/apis/clew.dev/v1alpha1/tracingpolicies/p/status?{query}",
            "application/apply-patch+yaml",
            {"metadata": {"name": "p"}, "status": {}},
        ),
    ]


def test_a_list_is_read_in_pages_and_its_items_say_what_they_are(server: Server, api: Api) -> None:
    first = {"metadata": {"resourceVersion": "12", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]}
    second = {"metadata": {"resourceVersion": "12"}, "items": [{"metadata": {"name": "b"}}]}
    server.answers = [(200, {}, first), (200, {}, second)]
    listing = api.list(Kind.POD, "spec.nodeName!=")
    assert listing.version == 12
    assert listing.objects == tuple({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}} for name in "ab")
    assert [path for _, path, _, _ in server.asked] == [
        "/api/v1/pods?fieldSelector=spec.nodeName%21%3D&limit=250",
        "/api/v1/pods?continue=more&fieldSelector=spec.nodeName%21%3D&limit=250",
    ]


def test_deleting_names_the_very_object_and_takes_its_absence_for_done(server: Server, api: Api) -> None:
    server.answers = [(200, {}, STATUS), (404, {}, STATUS), (409, {}, STATUS)]
    api.delete(Kind.REVISION, "r1", "u1")
    api.delete(Kind.REVISION, "r1", "u1")
    with pytest.raises(ApiError):
        api.delete(Kind.REVISION, "r1", "u1")
    assert server.asked[0] == (
        "DELETE",
        "/apis/clew.dev/v1alpha1/tracingrevisions/r1",
        "application/json",
        {"preconditions": {"uid": "u1"}},
    )


def test_no_answer_is_a_failure_like_another(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        silent = Api(load_configuration(write_kubeconfig(tmp_path / "silent", f"http://127.0.0.1:{port}")))
        with pytest.raises(ApiError) as caught:
            silent.get(Kind.LEASE, "x", "default", timeout=0.2)
        assert caught.value.fault is Fault.UNREACHABLE
    with pytest.raises(ApiError) as caught:
        silent.get(Kind.LEASE, "x", "default", timeout=0.2)
    assert caught.value.fault is Fault.UNREACHABLE


def test_no_way_to_the_api_server_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectionSettingsError, match=f"credentials from {tmp_path}/none: "):
        load_configuration(tmp_path / "none")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConnectionSettingsError, match=r"outside of a cluster, name a file with --kubeconfig$"):
        load_configuration(None)
