"""What joins nodes: the switch of their LAN, and the two ends of the way that the API server takes to them."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from clew_lab.nodes import tunnel
from clew_lab.nodes.lan import Switch

ALL = b"\xff" * 6


def framed(target: bytes, source: bytes, content: bytes) -> bytes:
    frame = target + source + content
    return len(frame).to_bytes(4, "big") + frame


async def next_frame(reader: StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


async def silent(reader: StreamReader) -> bool:
    """Whether nothing comes: what was sent before has been forwarded when a later frame has."""
    try:
        async with asyncio.timeout(0.05):
            await reader.readexactly(1)
    except TimeoutError:
        return True
    return False


def with_switch(tmp_path: Path, ports: int, body: Callable[[list[tuple[StreamReader, StreamWriter]]], Awaitable[None]]) -> None:
    async def run() -> None:
        path, switch = tmp_path / "lan", Switch()
        left = asyncio.Semaphore(0)

        async def attach(reader: StreamReader, writer: StreamWriter) -> None:
            await switch.attach(reader, writer)
            left.release()

        async with await asyncio.start_unix_server(attach, path):
            joined = [await asyncio.open_unix_connection(path) for _ in range(ports)]
            await body(joined)
            for _, writer in joined:
                writer.close()
                await left.acquire()

    asyncio.run(run())


def test_a_frame_for_nobody_known_goes_to_all_others_and_the_answer_to_one(tmp_path: Path) -> None:
    async def body(ports: list[tuple[StreamReader, StreamWriter]]) -> None:
        (one, to_one), (two, to_two), (three, _) = ports
        to_one.write(framed(ALL, b"one---", b"who is two?"))
        assert await next_frame(two) == await next_frame(three) == ALL + b"one---who is two?"
        to_two.write(framed(b"one---", b"two---", b"I am"))
        assert await next_frame(one) == b"one---two---I am"
        to_one.write(framed(b"two---", b"one---", b"thanks"))
        assert await next_frame(two) == b"two---one---thanks"
        assert await silent(three)

    with_switch(tmp_path, 3, body)


def test_a_port_that_is_closed_is_forgotten(tmp_path: Path) -> None:
    async def body(ports: list[tuple[StreamReader, StreamWriter]]) -> None:
        (one, to_one), (_, to_two), (three, to_three) = ports
        to_two.write(framed(ALL, b"two---", b"hello"))
        assert await next_frame(one) == await next_frame(three) == ALL + b"two---hello"
        to_two.close()
        to_one.write(framed(b"two---", b"one---", b"anyone?"))
        if await silent(three):  # the switch had not yet seen the end
            to_one.write(framed(b"two---", b"one---", b"anyone?"))
        assert await next_frame(three) == b"two---one---anyone?"
        to_three.close()

    with_switch(tmp_path, 3, body)


def with_tunnel(dial: tunnel.Dial, body: Callable[[tunnel.Connection], Awaitable[None]]) -> None:
    async def run() -> None:
        served = asyncio.Event()

        async def accept(reader: StreamReader, writer: StreamWriter) -> None:
            await tunnel.serve((reader, writer), dial)
            served.set()

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            await body(await asyncio.open_connection(*server.sockets[0].getsockname()))
            await served.wait()

    asyncio.run(run())


def test_bytes_pass_both_ways_until_either_side_has_said_all() -> None:
    asked = []

    async def echo(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"you said " + await reader.read())
        writer.close()

    async def dial(host: str, port: int) -> tunnel.Connection:
        asked.append((host, port))
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            return await asyncio.open_connection(*server.sockets[0].getsockname())

    async def body(proxy: tunnel.Connection) -> None:
        reader, writer = await tunnel.connect_through(proxy, "10.244.1.2", 8080)
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read() == b"you said hello"
        writer.close()

    with_tunnel(dial, body)
    assert asked == [("10.244.1.2", 8080)]


def test_who_cannot_be_reached_is_told_with_the_reason() -> None:
    async def dial(host: str, port: int) -> tunnel.Connection:
        raise ConnectionRefusedError("nobody listens")

    async def body(proxy: tunnel.Connection) -> None:
        with pytest.raises(OSError, match=r"^no way to 10\.244\.1\.2:80: nobody listens$"):
            await tunnel.connect_through(proxy, "10.244.1.2", 80)

    with_tunnel(dial, body)


def test_what_is_no_connect_is_refused() -> None:
    async def dial(host: str, port: int) -> tunnel.Connection:
        raise AssertionError("nothing is dialled")

    async def body(proxy: tunnel.Connection) -> None:
        reader, writer = proxy
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b"HTTP/1.1 502 ValueError\r\n\r\nGET / is no CONNECT to HOST:PORT\n"
        writer.close()

    with_tunnel(dial, body)
