"""Two small HTTP servers: what Prometheus scrapes, and what the kubelet asks to know whether to restart this pod or send it no work.

Alive: what changed is looked at in time. An API server that does not answer does not make the operator dead, since a restart would
not help. Ready: the API server has answered lately, and a leader's caches are complete.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STUCK = 120.0
"""Seconds that a change may wait to be looked at. A look takes seconds, and the longest back-off is 30 s."""

Stop = Callable[[], None]
"""Ends what it was given for."""

Page = Callable[[], tuple[int, str, bytes]]
"""Answers a GET: status, content type, body."""


def liveness(queue_age: Callable[[], float]) -> Page:
    """Whether the reconcile loop takes up what changes."""

    def page() -> tuple[int, str, bytes]:
        age = queue_age()
        if age > STUCK:
            return _text(503, f"the reconcile loop is stuck: a change has waited for {age:.0f} s")
        return _text(200, "alive")

    return page


def readiness(in_touch: Callable[[], bool], leads: Callable[[], bool], complete: Callable[[], bool]) -> Page:
    """Whether this replica does its work, or could take it over."""

    def page() -> tuple[int, str, bytes]:
        if not in_touch():
            return _text(503, "the API server does not answer")
        if not leads():
            return _text(200, "ready to take over")
        return _text(200, "leads") if complete() else _text(503, "the caches are being filled")

    return page


def serve(address: str, pages: Mapping[str, Page]) -> Stop:
    """Serve ``pages`` by path on ``HOST:PORT`` (``[::1]:8080`` for IPv6) and return what stops it.

    Raises ``ValueError`` for an address of another form and ``OSError`` when it is taken.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is not of the form HOST:PORT")

    class Handler(BaseHTTPRequestHandler):
        """Answers GET requests, and logs none."""

        def do_GET(self) -> None:
            """One page."""
            page = pages.get(self.path.partition("?")[0])
            status, content_type, body = page() if page is not None else _text(404, f"pages here: {', '.join(pages)}")
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds."""

    class Server(ThreadingHTTPServer):
        """One thread a request, which does not keep the process alive."""

        daemon_threads = True

    if ":" in host:
        import socket

        Server.address_family = socket.AF_INET6
    server = Server((host.strip("[]"), int(port)), Handler)
    thread = threading.Thread(target=server.serve_forever, name=f"http {address}", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _text(status: int, text: str) -> tuple[int, str, bytes]:
    return status, "text/plain; charset=utf-8", f"{text}\n".encode()
