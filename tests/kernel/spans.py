"""The spans that an agent writes into a file, as the tests look at them: by the identity at the end of their path."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kernel.until import PATIENCE, until

SERVER, CLIENT, INTERNAL = 2, 3, 1


@dataclass(frozen=True, slots=True)
class Seen:
    """A span of the file. `flags` are those of the W3C; identifiers are hexadecimal, `parent` is empty for a root."""

    trace: str
    span: str
    parent: str
    name: str
    kind: int
    flags: int
    start: int
    end: int
    attributes: Mapping[str, object]
    resource: Mapping[str, object]

    @property
    def identity(self) -> str:
        """The last part of the path; empty for a kernel function."""
        path = self.attributes.get("url.path") or self.attributes.get("url.full") or ""
        return str(path).rpartition("/")[2]

    @property
    def pod(self) -> str:
        """The pod's name."""
        return str(self.resource.get("k8s.pod.name"))


@dataclass
class SpanFile:
    """A file of OTLP-JSON lines that grows."""

    path: Path
    all: list[Seen] = field(default_factory=list)
    _offset: int = 0
    _by_identity: defaultdict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    _by_parent: defaultdict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))

    def read(self) -> None:
        """Take what has been written since the last time."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            for span in _spans(json.loads(line)):
                self.all.append(span)
                self._by_identity[span.identity].append(span)
                self._by_parent[span.parent].append(span)

    def of(self, identities: Iterable[str]) -> dict[str, list[Seen]]:
        """The request spans of these identities, in the order of their start; nothing for an identity that has none."""
        self.read()
        found = {identity: self._by_identity.get(identity, []) for identity in identities}
        return {identity: sorted(spans, key=lambda span: span.start) for identity, spans in found.items() if spans}

    def wait(self, identities: Iterable[str], count: int, timeout: float = PATIENCE) -> dict[str, list[Seen]]:
        """The same, as soon as each has `count` spans. Raises ``AssertionError`` with those that lack some."""
        wanted = list(identities)

        def lacking() -> dict[str, list[str]]:
            found = self.of(wanted)
            return {one: [span.name for span in found.get(one, ())] for one in wanted if len(found.get(one, ())) < count}

        until(lacking, lambda lacks: not lacks, lambda: f"there are no more than {lacking()}", timeout)
        return self.of(wanted)

    def below(self, parent: str, count: int) -> list[Seen]:
        """The children of a span, as soon as there are `count`."""

        def lacking() -> dict[str, list[str]]:
            self.read()
            found = self._by_parent[parent]
            return {parent: [span.name for span in found]} if len(found) < count else {}

        until(lacking, lambda lacks: not lacks, lambda: f"there are no more than {lacking()}")
        return self._by_parent[parent]


def _spans(request: Mapping[str, Any]) -> Iterable[Seen]:
    for group in request["resourceSpans"]:
        resource = _values(group["resource"])
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                yield Seen(
                    trace=span["traceId"],
                    span=span["spanId"],
                    parent=span["parentSpanId"],
                    name=span["name"],
                    kind=span["kind"],
                    flags=span["flags"] & 0xFF,
                    start=int(span["startTimeUnixNano"]),
                    end=int(span["endTimeUnixNano"]),
                    attributes=_values(span),
                    resource=resource,
                )


def _values(holder: Mapping[str, Any]) -> dict[str, object]:
    return {item["key"]: _value(item["value"]) for item in holder["attributes"]}


def _value(value: Mapping[str, object]) -> object:
    (kind, plain), *_ = value.items()
    return int(str(plain)) if kind == "intValue" else plain
