"""Spans from OTLP-JSON lines: what the OpenTelemetry file exporter writes, one ``ExportTraceServiceRequest`` a line.

Format: OTLP specification, "JSON Protobuf Encoding" (identifiers are hexadecimal, 64-bit integers are strings). A file may have
been cut off in the middle or mixed with other text, so what cannot be read becomes a problem with its line number, and the
rest is kept. Pure: lines in, spans and problems out.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Value = str | int | float | bool | list[Any] | dict[str, Any] | None

CLEW_SCOPE = "clew"
"""The instrumentation scope under which the agent exports."""

_KIND_NAMES = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUS_NAMES = ("unset", "ok", "error")
_DEEPEST_VALUE = 16
_OTHER_SIGNALS = ("resourceMetrics", "resourceLogs", "resourceProfiles")
_LATEST_NS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at one moment of a span; Unix nanoseconds."""

    name: str
    time_ns: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Span:
    """A span as the file has it. Identifiers are lower-case hexadecimal; ``parent_id`` is empty for a root. Unix nanoseconds."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    status: str = "unset"
    message: str = ""
    scope: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    resource: Mapping[str, Value] = field(default_factory=dict)
    events: tuple[Event, ...] = ()

    @property
    def service(self) -> str:
        """``service.name``, or an empty text."""
        return str(self.resource.get("service.name", ""))

    @property
    def is_kernel(self) -> bool:
        """Whether this is a kernel function's call as Clew records it: an internal span with Clew's scope or attributes."""
        named = any(name.startswith("clew.function.") for name in self.attributes)
        return self.kind == "internal" and (named or self.scope == CLEW_SCOPE)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file held: its spans in the file's order, each once, and sentences on what could not be read."""

    spans: tuple[Span, ...]
    problems: tuple[str, ...]


class _UnreadableError(Exception):
    """Something in a line is not as the format says; the message says what."""


def read_spans(lines: Iterable[bytes]) -> Reading:
    """Read every line that can be read. A span that comes twice (an exporter tried again) is kept once."""
    spans: dict[tuple[str, str], Span] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            for found in _request(_json(line)):
                if isinstance(found, Span):
                    spans.setdefault((found.trace_id, found.span_id), found)
                else:
                    problems.append(f"line {number}: {found}")
        except _UnreadableError as error:
            problems.append(f"line {number}: {error}")
    return Reading(tuple(spans.values()), tuple(problems))


def _json(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except RecursionError:
        raise _UnreadableError("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _UnreadableError(f"is no JSON: {error.msg} at character {error.pos + 1}") from error
    except ValueError as error:
        raise _UnreadableError(f"is no JSON: {error}") from error
    if not isinstance(document, dict) or (
        document and "resourceSpans" not in document and not any(one in document for one in _OTHER_SIGNALS)
    ):
        raise _UnreadableError('is no ExportTraceServiceRequest: an object with "resourceSpans" is expected')
    return document


def _request(document: dict[str, Any]) -> Iterator[Span | str]:
    """The spans of a request, and a sentence in the place of each that cannot be read."""
    for resource_spans in _objects(document, "resourceSpans"):
        resource = _attributes(_object(resource_spans, "resource"))
        for scope_spans in _objects(resource_spans, "scopeSpans"):
            scope = _text(_object(scope_spans, "scope"), "name")
            for number, raw in enumerate(_objects(scope_spans, "spans")):
                try:
                    yield _span(raw, resource, scope)
                except _UnreadableError as error:
                    yield f"span {number + 1} of scope {json.dumps(scope)}: {error}"


def _span(raw: dict[str, Any], resource: Mapping[str, Value], scope: str) -> Span:
    status = _object(raw, "status")
    parent = _identifier(raw, "parentSpanId", 16, required=False)
    return Span(
        trace_id=_identifier(raw, "traceId", 32),
        span_id=_identifier(raw, "spanId", 16),
        parent_id=parent if parent.strip("0") else "",
        name=_text(raw, "name"),
        kind=_enum(raw, "kind", "SPAN_KIND_", _KIND_NAMES),
        start_ns=_time(raw, "startTimeUnixNano"),
        end_ns=_time(raw, "endTimeUnixNano"),
        status=_enum(status, "code", "STATUS_CODE_", _STATUS_NAMES),
        message=_text(status, "message"),
        scope=scope,
        attributes=_attributes(raw),
        resource=resource,
        events=tuple(Event(_text(one, "name"), _time(one, "timeUnixNano"), _attributes(one)) for one in _objects(raw, "events")),
    )


def _identifier(raw: dict[str, Any], name: str, digits: int, *, required: bool = True) -> str:
    text = _text(raw, name).lower()
    if not text and not required:
        return ""
    if not re.fullmatch(f"[0-9a-f]{{{digits}}}", text) or (required and not text.strip("0")):
        raise _UnreadableError(f"{name} is not {digits} hexadecimal digits")
    return text


def _time(raw: dict[str, Any], name: str) -> int:
    value = raw.get(name, 0)
    if isinstance(value, str) and re.fullmatch("[0-9]{1,20}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LATEST_NS:
        raise _UnreadableError(f"{name} is no time in nanoseconds")
    return value


def _enum(raw: dict[str, Any], name: str, prefix: str, names: tuple[str, ...]) -> str:
    value = raw.get(name, 0)
    if isinstance(value, str):
        value = value.removeprefix(prefix).lower()
        return value if value in names else names[0]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else names[0]


def _attributes(raw: dict[str, Any]) -> dict[str, Value]:
    return {_text(one, "key"): _value(_object(one, "value")) for one in _objects(raw, "attributes")}


def _value(raw: dict[str, Any], depth: int = 0) -> Value:
    """An ``AnyValue`` as plain Python. What has no known type is None."""
    if depth > _DEEPEST_VALUE:
        raise _UnreadableError("an attribute's value is nested too deeply")
    for name, value in raw.items():
        if name == "intValue" and isinstance(value, str) and re.fullmatch("-?[0-9]{1,20}", value):
            return int(value)
        if name == "arrayValue":
            return [_value(one, depth + 1) for one in _objects(_object(raw, name), "values")]
        if name == "kvlistValue":
            return {_text(one, "key"): _value(_object(one, "value"), depth + 1) for one in _objects(_object(raw, name), "values")}
        if name == "bytesValue" and isinstance(value, str):
            return _bytes(value)
        if name.endswith("Value") and isinstance(value, str | int | float | bool):
            return value
    return None


def _bytes(text: str) -> str:
    try:
        return "0x" + base64.b64decode(text, validate=True).hex()
    except ValueError:
        return text


def _object(raw: dict[str, Any], name: str) -> dict[str, Any]:
    value = raw.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _UnreadableError(f"{name} is no object")
    return value


def _objects(raw: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = raw.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _UnreadableError(f"{name} is no list of objects")
    return value


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw.get(name, "")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _UnreadableError(f"{name} is no text")
    return value
