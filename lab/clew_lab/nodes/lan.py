"""The LAN of a cluster's nodes: an Ethernet switch, whose ports are QEMU's connections to a unix socket.

`python -m clew_lab.nodes.lan SOCKET`. On such a connection (QEMU's `-netdev stream`) each frame comes after its length, four bytes. A
switch, since QEMU's own link joins two guests at most, and does not connect anew when one of them has gone. No frame ever has an address of
the host's.
"""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter

__all__ = ["Switch", "main"]

_MAC = 6
_MOST_WAITING = 1 << 20


class Switch:
    """Learns behind which port an address is, and sends what it does not know to all others."""

    def __init__(self) -> None:
        self._ports: set[StreamWriter] = set()
        self._at: dict[bytes, StreamWriter] = {}

    async def attach(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve a port until it is closed."""
        self._ports.add(writer)
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big")
                self._forward(await reader.readexactly(length), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._ports.discard(writer)
            self._at = {mac: port for mac, port in self._at.items() if port is not writer}
            writer.close()

    def _forward(self, frame: bytes, source: StreamWriter) -> None:
        self._at[frame[_MAC : 2 * _MAC]] = source
        known = self._at.get(frame[:_MAC])
        for port in self._ports - {source} if known is None else {known} - {source}:
            # A guest that takes no more loses frames, as on a wire, and holds up nobody.
            if port.transport.get_write_buffer_size() < _MOST_WAITING:
                port.write(len(frame).to_bytes(4, "big") + frame)


async def _serve(socket: str) -> None:
    async with await asyncio.start_unix_server(Switch().attach, socket) as server:
        await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    asyncio.run(_serve(sys.argv[1]))


if __name__ == "__main__":
    main()
