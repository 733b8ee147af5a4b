"""The watches: kopf keeps them open, and its handlers do no more than put what they are told into the caches.

kopf can do much more, and would write on the objects that it handles: progress and what it saw last as annotations, finalizers,
status. None of that is wanted on other people's objects. So there are only low-level event handlers, which return nothing (kopf
would write a returned value into the status), and both of kopf's storages keep nothing, which also saves a deep copy per event. The
finalizer's name is one that no object has, since kopf takes a finalizer of its own name off objects that none of its handlers needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import kopf

from clew_operator.kinds import Kind
from clew_operator.knowledge import Knowledge
from clew_operator.metrics import Metrics

_LOG = logging.getLogger("clew.watches")
_PAUSE = 1.0
_FIRST_RETRIES = (0.2, 0.5, 1.0, 2.0)
_LATER_RETRIES = 5.0


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last state of objects."""

    def build(self, **_: Any) -> Any:
        """Nothing of an object matters."""
        return {}

    def fetch(self, **_: Any) -> Any:
        """Nothing was kept."""
        return None

    def store(self, **_: Any) -> None:
        """Nothing is kept."""


class _NoProgress(kopf.ProgressStorage):
    """Keeps no progress of handlers."""

    def fetch(self, **_: Any) -> Any:
        """Nothing was kept."""
        return None

    def store(self, **_: Any) -> None:
        """Nothing is kept."""

    def purge(self, **_: Any) -> None:
        """Nothing is there to be removed."""

    def touch(self, **_: Any) -> None:
        """No object is touched."""

    def clear(self, *, essence: Any) -> Any:
        """Nothing of ours is in it."""
        return essence


class _Retries:
    """How long kopf waits before it asks again: for ever, since an API server that is away comes back."""

    def __iter__(self) -> Iterator[float]:
        yield from _FIRST_RETRIES
        while True:
            yield _LATER_RETRIES


def connection_of(settings: Any) -> kopf.ConnectionInfo:
    """How kopf reaches the API server: as the ``kubernetes`` package does, by the configuration ``settings``."""
    scheme, _, token = (settings.get_api_key_with_prefix("BearerToken") or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=settings.host,
        ca_path=settings.ssl_ca_cert,
        insecure=not settings.verify_ssl,
        username=settings.username or None,
        password=settings.password or None,
        scheme=scheme or None,
        token=token or None,
        certificate_path=settings.cert_file,
        private_key_path=settings.key_file,
    )


def make_settings(selectors: Mapping[Kind, str]) -> kopf.OperatorSettings:
    """kopf's settings for an operator that only looks."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = "clew.dev/no-finalizer"
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # The kinds are known, and there when the operator begins: no need for the right to list CustomResourceDefinitions.
    settings.scanning.disabled = True
    settings.networking.error_backoffs = _Retries()
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.watching.chunk_size = 250
    settings.queueing.idle_timeout = 0.5
    for kind, selector in selectors.items():
        if selector:
            settings.watching.field_selectors[kind.group, kind.version, kind.plural] = selector
    return settings


def make_registry(knowledge: Knowledge, connect: Callable[[], kopf.ConnectionInfo]) -> kopf.OperatorRegistry:
    """kopf's handlers: one for each kind, and the one that says how to reach the API server, which is asked whenever a token ends."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def _login(**_: Any) -> kopf.ConnectionInfo:
        return connect()

    for kind in knowledge.selectors:
        _register(registry, kind, knowledge)
    return registry


def _register(registry: kopf.OperatorRegistry, kind: Kind, knowledge: Knowledge) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=kind.plural, registry=registry)
    async def _seen(event: Any, **_: Any) -> None:
        knowledge.seen(kind, event["type"], event["object"])


class Watches:
    """Keeps the watches open, in a thread of its own. When all of them end by an error, they are begun again."""

    def __init__(self, knowledge: Knowledge, connect: Callable[[], kopf.ConnectionInfo], metrics: Metrics) -> None:
        self._knowledge = knowledge
        self._connect = connect
        self._metrics = metrics
        self._stop = threading.Event()
        self._end: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="watches", daemon=True)

    def start(self) -> None:
        """Open them."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Close them. kopf takes its time with that, and nothing depends on it: after ``timeout`` seconds it is left alone."""
        self._stop.set()
        self._end()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                asyncio.run(self._watch())
            except Exception:
                _LOG.exception("the watches ended, and are begun again")
            if not self._stop.wait(_PAUSE):
                self._metrics.count("watches_restarted")

    async def _watch(self) -> None:
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        self._end = lambda: _call(loop, end.set)
        if self._stop.is_set():
            return
        await kopf.operator(
            registry=make_registry(self._knowledge, self._connect),
            settings=make_settings(self._knowledge.selectors),
            clusterwide=True,
            standalone=True,
            stop_flag=end,
        )


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile, which is as good
        loop.call_soon_threadsafe(function)
