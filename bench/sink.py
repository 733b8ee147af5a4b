"""Where the agent's spans go during a benchmark: an OTLP/HTTP receiver that reads and keeps nothing.

It runs in the guest beside what is measured, as a collector on the node would, and its processor time is part of the figures.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Sink", "main"]


class Sink(BaseHTTPRequestHandler):
    """Answers every export with an empty ``ExportTraceServiceResponse`` (zero bytes of protobuf)."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        """Read the body and accept it."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def main(port: int) -> None:
    """Serve on the loopback address until killed."""
    with ThreadingHTTPServer(("127.0.0.1", port), Sink) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
