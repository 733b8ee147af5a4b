"""A proxy in front of the API server, for one operator: it cuts connections, answers in the API server's name, or falls silent.

It ends TLS with the API server's own certificate, so that clients see no difference.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from clew_lab.cluster import Cluster
from clew_lab.cluster.components import Files

Found = TypeVar("Found")
_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_OF_A_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host", "date", "server"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that a write gets instead of being carried out."""

    code: int
    reason: str
    retry_after: int = 0

    def response(self) -> web.Response:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": self.reason, "code": self.code}
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return web.json_response({**status, "message": f"the proxy says {self.reason}"}, status=self.code, headers=headers)


Judge = Callable[[str, str], Refusal | None]
"""What a write (its method and path) is answered with; None: it is passed on."""


class Proxy:
    """Passes requests on, in a thread of its own, until it is told otherwise. Its methods are for any thread."""

    def __init__(self, cluster: Cluster) -> None:
        self._target = cluster.url
        self._trust = ssl.create_default_context(cafile=str(cluster.ca))
        files = Files(cluster.folder)
        self._identity = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._identity.load_cert_chain(files.certificate, files.key)
        self._judge: Judge = lambda method, path: None
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self.url = self._call(self._start())

    def judge(self, judge: Judge) -> None:
        """Have each write judged from now on."""
        self._judge = judge

    def cut(self) -> int:
        """Break every connection; new ones are served. Returns how many there were."""
        return self._call(self._cut())

    def isolate(self) -> None:
        """Fall silent, as a network that is gone does: nothing is passed on in either direction, and nobody is told."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def heal(self) -> None:
        """Serve again. The connections from before are lost, with what waited in them."""
        self.cut()
        self._loop.call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[None, None, Found]) -> Found:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> str:
        self._session = ClientSession(
            connector=TCPConnector(ssl=self._trust, limit=0), timeout=ClientTimeout(total=None, sock_connect=5), auto_decompress=False
        )
        self._runner = web.ServerRunner(web.Server(self._serve, handler_cancellation=True), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._identity)
        await site.start()
        return f"https://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await self._cut()
        await self._runner.cleanup()
        await self._session.close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    async def _cut(self) -> int:
        assert self._runner.server is not None
        transports = [one.transport for one in self._runner.server.connections if one.transport is not None]
        for one in transports:
            one.abort()
        return len(transports)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._open.wait()
        refusal = self._judge(request.method, request.path) if request.method in _WRITES else None
        if refusal is not None:
            await request.read()
            return refusal.response()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_A_HOP}
        answer: web.StreamResponse | None = None
        try:
            async with self._session.request(
                request.method, f"{self._target}{request.raw_path}", headers=headers, data=await request.read() or None
            ) as source:
                kept = {name: value for name, value in source.headers.items() if name.lower() not in _OF_A_HOP}
                if encoding := source.headers.get("Content-Encoding"):
                    kept["Content-Encoding"] = encoding
                answer = web.StreamResponse(status=source.status, headers=kept)
                try:
                    await self._open.wait()
                    await answer.prepare(request)
                    async for chunk in source.content.iter_any():
                        await self._open.wait()
                        await answer.write(chunk)
                    await answer.write_eof()
                finally:
                    # Where the answer is not whole, the connection is of no more use; its parting would outlive this proxy.
                    if source.connection is not None and source.connection.transport is not None:
                        source.connection.transport.abort()
        except ClientError:
            if answer is None or not answer.prepared:
                return Refusal(502, "BadGateway").response()
            assert request.transport is not None
            request.transport.abort()
        assert answer is not None
        return answer


@contextlib.contextmanager
def proxied(cluster: Cluster, name: str) -> Iterator[tuple[Proxy, Path]]:
    """A proxy, and a kubeconfig of the admin that goes through it."""
    proxy = Proxy(cluster)
    try:
        kubeconfig = cluster.folder / f"{name}.kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig.read_text().replace(cluster.url, proxy.url))
        yield proxy, kubeconfig
    finally:
        proxy.close()
