"""What the agents of a cluster export, as tests look at it: an OTLP receiver on the host, at an address that pods reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from clew_lab.backends.query import StoredSpan, Value
from clew_lab.guest import HOST_ADDRESS
from clew_lab.traces import CLIENT, INTERNAL, SERVER

from tests.cluster.web import PATIENCE
from tests.unit.otlp_receivers import Received, http_receiver

Found = TypeVar("Found")
_KINDS = {1: INTERNAL, 2: SERVER, 3: CLIENT}
_ERROR = 2


@dataclass
class Spans:
    """All spans that have come, as they come."""

    _received: Received
    _port: int
    _listening: ExitStack
    _seen: list[StoredSpan] = field(default_factory=list)
    _read: int = 0

    @property
    def url(self) -> str:
        """Where agents send them to."""
        return f"http://{HOST_ADDRESS}:{self._port}"

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody listens at `url` meanwhile."""
        self._listening.close()
        try:
            yield
        finally:
            self._listening.enter_context(http_receiver(self._received, self._port))

    def all(self) -> list[StoredSpan]:
        """The spans that have come so far."""
        with self._received.arrived:
            fresh = self._received.requests[self._read :]
            self._read += len(fresh)
            self._seen += [span for _, _, request in fresh for span in _spans_of(request)]
            return list(self._seen)

    def until(
        self, look: Callable[[list[StoredSpan]], Found], patience: float = PATIENCE, amiss: Callable[[list[StoredSpan]], object] = len
    ) -> Found:
        """What `look` finds in them as soon as it finds something; awaited as they come, for so many seconds. `amiss` says of them what
        keeps it from that."""
        with self._received.arrived:
            found: list[Found] = []

            def finds() -> bool:
                found[:] = [look(self.all())]
                return bool(found[0])

            assert self._received.arrived.wait_for(finds, patience), f"not among the spans after {patience} s: {amiss(self._seen)}"
            return found[0]

    def await_function(self, name: str, node: str, since: int) -> None:
        """Wait for a call of a kernel function on a node that began after a moment."""
        self.until(lambda seen: any(one.name == name and one.resource["k8s.node.name"] == node and one.start > since for one in seen))


@contextmanager
def receiver() -> Iterator[Spans]:
    """Receive spans, at a port of its own."""
    received = Received()
    with ExitStack() as listening:
        port = listening.enter_context(http_receiver(received))
        yield Spans(received, port, listening)


def _spans_of(request: Any) -> Iterator[StoredSpan]:
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        for scoped in group.scope_spans:
            for span in scoped.spans:
                yield StoredSpan(
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    name=span.name,
                    kind=_KINDS[span.kind],
                    service=str(resource["service.name"]),
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    flags=span.flags,
                    attributes=_attributes(span.attributes),
                    resource=resource,
                    scope=scoped.scope.name,
                    error=span.status.message if span.status.code == _ERROR else None,
                )


def _attributes(pairs: Any) -> Mapping[str, Value]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
