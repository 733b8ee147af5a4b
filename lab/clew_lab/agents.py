"""Simulated node agents: a thousand and more in one process, for tests of the operator. They trace nothing.

Each watches its NodeTracing as a node's agent does (here by one watch for all), and writes its status by server-side apply: what it
says of each policy is laid down by a list of behaviours. ``python -m clew_lab.agents --kubeconfig FILE`` runs them as a process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import ssl
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import aiohttp
from clew_crds.node import NODE_KIND, FunctionReport, Kernel, NodeStatus, NodeTracing, PolicyReport, State
from clew_crds.policy import API_VERSION
from kubernetes import client, config

FIELD_MANAGER = "clew-agent"
VERSION = "simulated"
_PATH = f"/apis/{API_VERSION}/nodetracings"
_AT_ONCE = 32
_AGAIN = 0.2
_TURN = 0.05


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the agents of the nodes that match ``node`` say of revisions that match ``revision`` (both are patterns, as of a shell).

    ``state`` None: they say nothing at all. ``delay`` is in seconds. ``functions`` are the kernel functions that are not recorded.
    """

    node: str = "*"
    revision: str = "*"
    state: State | None = State.READY
    reason: str = "Enforced"
    message: str = ""
    delay: float = 0.0
    functions: tuple[FunctionReport, ...] = ()


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that can cut its connections at its end. Closed in good order, TLS waits for the server's word, which comes when no
    loop listens any more, and the socket stays open."""

    def __init__(self) -> None:
        super().__init__()
        self._made: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    async def create_connection(self, *given: Any, **named: Any) -> Any:
        """As it is, and remembered."""
        transport, protocol = await super().create_connection(*given, **named)
        self._made.add(transport)
        return transport, protocol

    def cut(self) -> None:
        """Cut all connections."""
        for transport in self._made:
            transport.abort()


class Agents:
    """All of the simulated agents. Behaviours are tried in order; where none matches, the answer is Ready at once.

    ``kernels`` are what they say of their nodes' kernels, by node; of others nothing.
    """

    def __init__(self, kubeconfig: Path, behaviours: Sequence[Behaviour] = (), kernels: Mapping[str, Kernel] | None = None) -> None:
        settings = client.Configuration()
        config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
        authorization = settings.get_api_key_with_prefix("BearerToken")
        self._server = settings.host
        self._headers = {"Authorization": authorization} if authorization else {}
        self._ssl = ssl.create_default_context(cafile=settings.ssl_ca_cert)
        if settings.cert_file:
            self._ssl.load_cert_chain(settings.cert_file, settings.key_file)
        self._behaviours = behaviours
        self._kernels = kernels or {}
        self._loop = _Loop()
        self._ended = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._seen: dict[str, NodeTracing] = {}
        self._thinking: dict[str, asyncio.Task[None]] = {}
        self._saying: set[asyncio.Task[None]] = set()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set. An API server that is away is waited for."""
        with contextlib.closing(self._loop):
            threading.Thread(target=self._end, args=(stop,), daemon=True).start()
            self._loop.run_until_complete(self._work())

    def behave(self, behaviours: Sequence[Behaviour]) -> None:
        """Behave otherwise from now on, and answer anew where that differs. For any thread."""

        def change() -> None:
            self._behaviours = behaviours
            for name in list(self._seen):
                self._consider(name)

        self._loop.call_soon_threadsafe(change)

    def _end(self, stop: threading.Event) -> None:
        stop.wait()
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _work(self) -> None:
        connector = aiohttp.TCPConnector(limit=_AT_ONCE, ssl=self._ssl)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with aiohttp.ClientSession(self._server, headers=self._headers, connector=connector, timeout=timeout) as self._session:
            following = self._loop.create_task(self._follow(self._session))
            await self._ended.wait()
            for thought in self._thinking.values():
                thought.cancel()
            # A task that is cancelled while it connects leaves its socket open. So none is: connections are cut until all have noticed.
            while left := [task for task in (following, *self._saying) if not task.done()]:
                self._loop.cut()
                await asyncio.wait(left, timeout=_TURN)
        self._loop.cut()
        await asyncio.sleep(_TURN)  # sockets are closed in the loop's next turns
        await following

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._watch(session)
            await asyncio.sleep(_AGAIN)

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        async with session.get(_PATH) as response:
            response.raise_for_status()
            listing = await response.json()
        for document in listing["items"]:
            self._see(document)
        query = {"watch": "true", "resourceVersion": listing["metadata"]["resourceVersion"]}
        async with session.get(_PATH, params=query) as response:
            response.raise_for_status()
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] == "DELETED":
                    self._seen.pop(event["object"]["metadata"]["name"], None)
                else:
                    self._see(event["object"])

    def _see(self, document: dict[str, Any]) -> None:
        tracing = NodeTracing.model_validate(document)
        self._seen[tracing.metadata.name] = tracing
        self._consider(tracing.metadata.name)

    def _consider(self, node: str) -> None:
        """Think over what to say of a node, for as long as is laid down, instead of anything that is being thought over."""
        thought = self._thinking.pop(node, None)
        if thought is not None:
            thought.cancel()
        if self._says(self._seen[node]) not in (None, self._seen[node].status):
            self._thinking[node] = self._loop.create_task(self._answer(node))

    async def _answer(self, node: str) -> None:
        entries = self._seen[node].spec.policies
        await asyncio.sleep(max((_behaviour(node, one.revision, self._behaviours).delay for one in entries), default=0.0))
        answer = self._thinking.pop(node)
        self._saying.add(answer)
        answer.add_done_callback(self._saying.discard)
        sure = True
        while not self._ended.is_set() and (tracing := self._seen.get(node)) is not None and (status := self._says(tracing)) is not None:
            # An answer that may have been lost is given again, so that the audit log has it.
            if sure and status == tracing.status:
                return
            if await self._say(node, status):
                return
            sure = False
            await asyncio.sleep(_AGAIN)

    def _says(self, tracing: NodeTracing) -> NodeStatus | None:
        """What the node's agent says, once it has looked; None where it says nothing."""
        reports = []
        for entry in tracing.spec.policies:
            behaviour = _behaviour(tracing.metadata.name, entry.revision, self._behaviours)
            if behaviour.state is None:
                return None
            reports.append(
                PolicyReport(
                    name=entry.name,
                    revision=entry.revision,
                    state=behaviour.state,
                    reason=behaviour.reason,
                    message=behaviour.message,
                    functions=behaviour.functions,
                )
            )
        kernel = self._kernels.get(tracing.metadata.name, Kernel())
        return NodeStatus(observed_generation=tracing.metadata.generation, agent_version=VERSION, kernel=kernel, policies=tuple(reports))

    async def _say(self, node: str, status: NodeStatus) -> bool:
        body = {"apiVersion": API_VERSION, "kind": NODE_KIND, "metadata": {"name": node}, "status": status.document()}
        query, kind = {"fieldManager": FIELD_MANAGER, "force": "true"}, {"Content-Type": "application/apply-patch+yaml"}
        if self._session is None:
            return False
        try:
            async with self._session.patch(f"{_PATH}/{node}/status", params=query, json=body, headers=kind) as response:
                return response.status in (200, 404)
        except (aiohttp.ClientError, TimeoutError):
            return False


def _behaviour(node: str, revision: str, behaviours: Sequence[Behaviour]) -> Behaviour:
    fitting = (one for one in behaviours if fnmatchcase(node, one.node) and fnmatchcase(revision, one.revision))
    return next(fitting, Behaviour())


@contextlib.contextmanager
def running_agents(kubeconfig: Path, behaviours: Sequence[Behaviour] = (), kernels: Mapping[str, Kernel] | None = None) -> Iterator[Agents]:
    """Agents in a thread of this process while the body runs."""
    agents, stop = Agents(kubeconfig, behaviours, kernels), threading.Event()
    thread = threading.Thread(target=agents.run, args=(stop,), name="simulated agents")
    thread.start()
    try:
        yield agents
    finally:
        stop.set()
        thread.join()


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m clew_lab.agents", description="Simulate node agents, for tests of the operator.")
    parser.add_argument("--kubeconfig", type=Path, required=True, metavar="FILE")
    parser.add_argument("--behaviours", type=Path, metavar="FILE", help="a JSON list of Behaviour objects")
    arguments = parser.parse_args(argv)
    rows = json.loads(arguments.behaviours.read_text(encoding="utf-8")) if arguments.behaviours else []
    behaviours = [Behaviour(**{**row, "state": State(row["state"]) if row.get("state") else None}) for row in rows]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Agents(arguments.kubeconfig, behaviours).run(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
