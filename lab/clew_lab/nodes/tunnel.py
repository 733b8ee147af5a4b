"""HTTP CONNECT, both ends of it: how the host reaches what only a guest can, its kubelet, pods and services.

The API server asks the host's end (:mod:`clew_lab.nodes.egress`) for an address; that one passes the request on to the end in the
guest that has the address; bytes then flow through both, until either side has said all.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress

__all__ = ["Connection", "Dial", "connect_through", "serve"]

Connection = tuple[StreamReader, StreamWriter]
Dial = Callable[[str, int], Awaitable[Connection]]
"""Opens a connection to a host and a port; OSError when it cannot be had."""

_CONNECT_SECONDS = 30
_PIECE = 1 << 16


async def serve(asking: Connection, dial: Dial) -> None:
    """Answer the one CONNECT of a connection: open what it asks for, and pass bytes both ways until the end."""
    reader, writer = asking
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            host, port = _target(await reader.readuntil(b"\r\n\r\n"))
            opened = await dial(host, port)
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as problem:  # OSError: a TimeoutError, too
        writer.write(f"HTTP/1.1 502 {type(problem).__name__}\r\n\r\n{problem}\n".encode())
        await _close(writer)
        return
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await asyncio.gather(_pass_on(reader, opened[1]), _pass_on(opened[0], writer))
    await _close(opened[1])
    await _close(writer)


async def connect_through(proxy: Connection, host: str, port: int) -> Connection:
    """Have a proxy open a connection; return the connection to the proxy, which stands for it from now on.

    Raises ``OSError`` when the proxy says no, or nothing.
    """
    reader, writer = proxy
    try:
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        said = await reader.readuntil(b"\r\n\r\n")
        if said.split()[1:2] != [b"200"]:
            raise OSError(f"no way to {host}:{port}: {(await reader.read()).decode(errors='replace').strip()}")
    except BaseException as problem:
        writer.close()
        if isinstance(problem, asyncio.IncompleteReadError):
            raise OSError(f"no way to {host}:{port}: the node did not answer") from None
        raise
    return proxy


def _target(head: bytes) -> tuple[str, int]:
    method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
    host, colon, port = target.rpartition(":")
    if method != "CONNECT" or not colon:
        raise ValueError(f"{method} {target} is no CONNECT to HOST:PORT")
    return host.strip("[]"), int(port)


async def _pass_on(source: StreamReader, sink: StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(_PIECE):
            sink.write(piece)
            await sink.drain()
    with suppress(OSError):
        sink.write_eof()


async def _close(writer: StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
