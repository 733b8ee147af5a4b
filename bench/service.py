"""The measured application: ``service.py front|back``, plain HTTP/1.1 services of a thread per connection, keep-alive all along.

``back`` answers a small JSON document; ``front`` fetches it for every request, over one connection per thread, and wraps it.
PORT is where it listens, BACK_HOST and BACK_PORT where the front finds the back.
"""

import http.client
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ.get("PORT", "8080"))
BACK_HOST = os.environ.get("BACK_HOST", "back")
BACK_PORT = int(os.environ.get("BACK_PORT", "8080"))


class Service(BaseHTTPRequestHandler):
    """Keep-alive, head and body in one write, no log."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def answer(self, document: object) -> None:
        """Send 200 with a JSON body."""
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the log is not what is measured."""


class Back(Service):
    """The leaf."""

    def do_GET(self) -> None:
        """Answer a constant document."""
        self.answer({"item": self.path, "stock": 12})


class Front(Service):
    """Calls the back on the thread that serves the request."""

    own = threading.local()

    def do_GET(self) -> None:
        """Fetch from the back, and answer with what it said."""
        connection = getattr(self.own, "connection", None)
        if connection is None:
            connection = self.own.connection = http.client.HTTPConnection(BACK_HOST, BACK_PORT, timeout=60)
        connection.request("GET", "/stock")
        with connection.getresponse() as response:
            self.answer({"path": self.path, "back": json.load(response)})


class Server(ThreadingHTTPServer):
    """A thread per connection."""

    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    with Server(("", PORT), {"front": Front, "back": Back}[sys.argv[1]]) as server:
        server.serve_forever()
