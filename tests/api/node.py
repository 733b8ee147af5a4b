"""A node that is a lab guest: a real kernel with the real agent in it, which reaches the API server of the test on the host.

There is no kubelet in it (that is for a cluster of its own): kwok keeps the Node object alive, and the test says what a kubelet
would say of its pods.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from clew_lab.config import GUEST_PYTHON, SHARE_MOUNT
from clew_lab.guest import HOST_ADDRESS, Guest, GuestOptions, boot
from clew_lab.image import find_image
from clew_lab.run import pump

from tests.kernel.spans import SpanFile

BOOT_SECONDS = 300
STEP_SECONDS = 900


class GuestNode:
    """The host's end of `node_inside.py`."""

    def __init__(self, guest: Guest, stream: IO[str]) -> None:
        self._stream = stream
        self.spans = SpanFile(guest.share / "spans.jsonl")

    def do(self, name: str, /, **arguments: object) -> Any:
        """Have it done, and return what came of it. Raises ``AssertionError`` with the traceback from in there."""
        self._stream.write(json.dumps({"do": name, **arguments}) + "\n")
        self._stream.flush()
        line = self._stream.readline()
        assert line, f"the guest ended while it was to do {name}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def start_agent(self, node: str, port: int, token: str, authority: str) -> float:
        """Start the agent of a node against the API server on a port of the host's; the seconds until it was ready."""
        arguments = [f"--node={node}", f"--exporter=file:{SHARE_MOUNT}/spans.jsonl", "--metrics-address=127.0.0.1:9464"]
        environment = {"KUBERNETES_SERVICE_HOST": HOST_ADDRESS, "KUBERNETES_SERVICE_PORT": str(port), "OTEL_BSP_SCHEDULE_DELAY": "100"}
        ready: float = self.do("start_agent", arguments=arguments, environment=environment, token=token, authority=authority)
        return ready


@contextmanager
def guest_node(kernel: str) -> Iterator[GuestNode]:
    """A guest with a kernel of that series, ready to be told what to do; what it says goes to standard error."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(1)
        port = server.getsockname()[1]
        command = [GUEST_PYTHON, "-m", "tests.api.node_inside", str(port)]
        with boot(find_image(), GuestOptions(kernel, network=True), command) as guest:
            threads = [pump(guest.stdout, sys.stderr.buffer), pump(guest.stderr, sys.stderr.buffer)]
            connection = _accept(server, guest)
            connection.settimeout(STEP_SECONDS)
            with connection, connection.makefile("rw") as stream:
                yield GuestNode(guest, stream)
            guest.kill()
            for thread in threads:
                thread.join(5)


def _accept(server: socket.socket, guest: Guest) -> socket.socket:
    """The guest's connection. Raises ``AssertionError`` where it ends without one, or takes too long."""
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        with suppress(TimeoutError):
            return server.accept()[0]
        assert guest.process.poll() is None, f"the guest ended before it connected; its kernel said:\n{guest.console()[-4000:]}"
        assert time.monotonic() < deadline, f"the guest has not connected after {BOOT_SECONDS} s"
