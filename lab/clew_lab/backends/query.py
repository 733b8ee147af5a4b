"""What has arrived in Jaeger, asked of its query API and read as it was sent.

Version 3 of the API answers with OTLP/JSON, so that nothing is lost: nanoseconds, kinds, resources apart from attributes. Spans are asked
for raw: Jaeger would otherwise move those whose clock seems to differ from their parent's. The reading is pure (:func:`spans_in`).
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clew_lab.traces import CLIENT, INTERNAL, SERVER, TraceSpan

__all__ = ["JaegerQuery", "StoredSpan", "Value", "spans_in"]

Value = str | bool | int | float | tuple[Any, ...]

_KINDS = {1: INTERNAL, 2: SERVER, 3: CLIENT}
_ERROR = 2
_PATIENCE_S = 30.0
_MOST_TRACES = 10_000
_EVER = {"query.start_time_min": "1970-01-01T00:00:00Z", "query.start_time_max": "2200-01-01T00:00:00Z"}
_READ: Mapping[str, Any] = {"stringValue": str, "boolValue": bool, "intValue": int, "doubleValue": float}


@dataclass(frozen=True, slots=True)
class StoredSpan(TraceSpan):
    """A span that Jaeger has, and all that it says.

    `flags` are OTLP's: the W3C's in the low byte, and whether the parent is remote. `error` is the message of a status *error*.
    """

    flags: int
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value]
    scope: str
    error: str | None


class JaegerQuery:
    """Asks one Jaeger. Every question raises ``OSError`` when it is not answered, and ``urllib.error.HTTPError`` when it is refused."""

    def __init__(self, url: str) -> None:
        """`url` is the query API's, without a path."""
        self.url = url

    def services(self) -> list[str]:
        """Return the names of all services that have sent spans, sorted."""
        return sorted(json.loads(self._get("services", {})).get("services", []))

    def trace(self, trace_id: str) -> list[StoredSpan]:
        """Return the spans of the trace of that hexadecimal ID, in order of their start; none if there is no such trace."""
        return _in_order(spans_in(self._get(f"traces/{trace_id}", {"raw_traces": "true"})))

    def answer(self, service: str) -> bytes:
        """Return every trace in which the service has a span, as Jaeger answers: for :func:`spans_in`."""
        asked = {"query.service_name": service, "query.num_traces": str(_MOST_TRACES), "query.raw_traces": "true", **_EVER}
        return self._get("traces", asked)

    def traces(self, service: str) -> dict[str, list[StoredSpan]]:
        """Return every trace in which the service has a span, by ID: all of its spans, those of other services, too."""
        found: dict[str, list[StoredSpan]] = {}
        for span in _in_order(spans_in(self.answer(service))):
            found.setdefault(span.trace, []).append(span)
        return found

    def _get(self, path: str, parameters: Mapping[str, str]) -> bytes:
        """Return the answer; what is not found is an empty one."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v3/{path}?{query}", timeout=_PATIENCE_S) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                if refused.code == 404:
                    return b"{}"
                raise


def spans_in(answer: bytes) -> list[StoredSpan]:
    """Return the spans of an answer with traces, in its order. Raises ``ValueError`` or ``KeyError`` on other text."""
    groups = json.loads(answer).get("result", {}).get("resourceSpans", [])
    return [
        _span(span, scoped.get("scope", {}).get("name", ""), _values(group.get("resource", {}).get("attributes", [])))
        for group in groups
        for scoped in group["scopeSpans"]
        for span in scoped["spans"]
    ]


def _span(span: Mapping[str, Any], scope: str, resource: Mapping[str, Value]) -> StoredSpan:
    status = span.get("status", {})
    return StoredSpan(
        trace=span["traceId"],
        span=span["spanId"],
        parent=span.get("parentSpanId", ""),
        name=span["name"],
        kind=_KINDS[span["kind"]],
        service=str(resource.get("service.name", "")),
        start=int(span["startTimeUnixNano"]),
        end=int(span["endTimeUnixNano"]),
        flags=span.get("flags", 0),
        attributes=_values(span.get("attributes", [])),
        resource=resource,
        scope=scope,
        error=status.get("message", "") if status.get("code") == _ERROR else None,
    )


def _values(pairs: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
    return {pair["key"]: _value(pair["value"]) for pair in pairs}


def _value(value: Mapping[str, Any]) -> Value:
    ((kind, content),) = value.items()
    if kind == "arrayValue":
        return tuple(_value(one) for one in content.get("values", []))
    read: Value = _READ[kind](content)
    return read


def _in_order(spans: Iterable[StoredSpan]) -> list[StoredSpan]:
    return sorted(spans, key=lambda span: (span.start, span.span))
