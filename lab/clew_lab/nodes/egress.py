"""The host's end of the way to the nodes: what the API server connects to when it wants a kubelet, a pod or a service.

`python -m clew_lab.nodes.egress SOCKET PORT…` serves HTTP CONNECT on a unix socket; the ports are those at which QEMU takes
connections for the guests, that of the first node first. An address leads to the node that has it. A service is reached from any
node, so the first one that answers is asked.
"""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence

from clew_lab.nodes import tunnel
from clew_lab.nodes.places import number_at

__all__ = ["candidates", "main"]

_ANSWER_SECONDS = 10


def candidates(host: str, ports: Sequence[int]) -> list[int]:
    """Return the ports by which that address may be reached."""
    number = number_at(host)
    if number is None:
        return list(ports)
    return [ports[number - 1]] if number <= len(ports) else []


async def _serve(socket: str, ports: Sequence[int]) -> None:
    async def dial(host: str, port: int) -> tunnel.Connection:
        problem = OSError(f"no node has {host}")
        for candidate in candidates(host, ports):
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    return await tunnel.connect_through(await asyncio.open_connection("127.0.0.1", candidate), host, port)
            except OSError as found:  # a TimeoutError, too
                problem = found
        raise problem

    async def accept(reader: StreamReader, writer: StreamWriter) -> None:
        await tunnel.serve((reader, writer), dial)

    async with await asyncio.start_unix_server(accept, socket) as server:
        await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    asyncio.run(_serve(sys.argv[1], [int(port) for port in sys.argv[2:]]))


if __name__ == "__main__":
    main()
