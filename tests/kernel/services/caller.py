"""A thread-per-request service of plain ``http.server``: ``caller.py PORT [HOST:PORT]``.

It answers with the traceparent that it received ("none" without one) and, where it was given another service, with what that one
answers to its own request behind it.
"""

import http.client
import http.server
import sys

PORT, DOWNSTREAM = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every GET."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the traceparent, and ask on."""
        body = (self.headers.get("traceparent") or "none").encode()
        if DOWNSTREAM:
            connection = http.client.HTTPConnection(DOWNSTREAM, timeout=60)
            connection.request("GET", self.path + "/down")
            body += b" " + connection.getresponse().read()
            connection.close()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()
