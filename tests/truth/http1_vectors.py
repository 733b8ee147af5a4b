"""Loads the vectors of `vectors/*.yaml` (their form is described in `vectors/README.md`) into values to compare with.

Strict on purpose: an unknown key, a name used twice or a wrong flag is an error, since a case that checks less than it seems
to is worse than none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.truth.http1_twin import Head, HeadFlag, Result
from tests.truth.tracecontext_twin import TraceParent

FOLDER = Path(__file__).parent / "vectors"
HEAD_FILES = ("start_lines.yaml", "fields.yaml", "traceparent.yaml", "tracestate.yaml", "obi.yaml")
REQUEST_LINE = b"GET / HTTP/1.1\r\n"
STATUS_LINE = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True, slots=True)
class HeadCase:
    """Bytes, what they are read as, and the whole reading that must come out."""

    name: str
    response: bool
    data: bytes
    expect: Head


@dataclass(frozen=True, slots=True)
class DirectionExpectation:
    """What one direction of an exchange must come to."""

    messages: list[dict[str, Any]]
    state: str
    lost_at: int | None


@dataclass(frozen=True, slots=True)
class FramingCase:
    """An exchange: (side, bytes) in the order seen, whether the server closed, and both directions' readings."""

    name: str
    exchange: list[tuple[str, bytes]]
    close: bool
    requests: DirectionExpectation
    responses: DirectionExpectation


def _text(value: str | list[Any]) -> bytes:
    """Turn a text, or a list of texts and repetitions, into bytes."""
    if isinstance(value, str):
        return value.encode("latin-1")
    return b"".join(_text(part) if isinstance(part, str) else _text(part["repeat"]) * part["times"] for part in value)


def _only(case: dict[str, Any], *allowed: str) -> None:
    if unknown := set(case) - set(allowed):
        raise ValueError(f"{case.get('name', case)}: unknown {sorted(unknown)}")


def _flags(names: list[str]) -> HeadFlag:
    flags = HeadFlag(0)
    for name in names:
        flags |= HeadFlag[name]
    return flags


def _head(expect: dict[str, Any], defaults: dict[str, Any]) -> Head:
    values = defaults | expect
    parent = values.pop("traceparent", None)
    traceparent = parent and TraceParent(bytes.fromhex(parent["trace_id"]), bytes.fromhex(parent["parent_id"]), parent["flags"])
    return Head(
        result=Result[values.pop("result")],
        flags=_flags(values.pop("flags", [])),
        traceparent=traceparent,
        traceparents=values.pop("traceparents", 1 if parent else 0),
        tracestate=_text(values.pop("tracestate", "")),
        **values,
    )


def _head_case(case: dict[str, Any]) -> HeadCase:
    _only(case, "name", "source", "response", "input", "fields", "expect")
    response = case.get("response", False)
    if "input" in case:
        return HeadCase(case["name"], response, _text(case["input"]), _head(case["expect"], {}))
    start = STATUS_LINE if response else REQUEST_LINE
    data = start + b"Host: a\r\n" + b"".join(_text(line) + b"\r\n" for line in case["fields"]) + b"\r\n"
    known: dict[str, Any] = {"status": 200} if response else {"method_length": 3, "target_length": 1}
    known |= {"result": "COMPLETE", "end": len(data), "insert_at": len(data) - 2, "minor": 1}
    return HeadCase(case["name"], response, data, _head(case["expect"], known))


def _direction(value: dict[str, Any]) -> DirectionExpectation:
    _only(value, "messages", "state", "lost_at")
    return DirectionExpectation(value["messages"], value["state"], value.get("lost_at"))


def _framing_case(case: dict[str, Any]) -> FramingCase:
    _only(case, "name", "source", "exchange", "close", "requests", "responses")
    exchange = [(side, _text(data)) for write in case["exchange"] for side, data in write.items()]
    return FramingCase(case["name"], exchange, case.get("close", False), _direction(case["requests"]), _direction(case["responses"]))


def _load(file: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = yaml.safe_load((FOLDER / file).read_text())
    return cases


def head_cases() -> list[HeadCase]:
    """Return all cases of heads, in the files' order. Raises ValueError for a malformed or doubly named case."""
    cases = [_head_case(case) for file in HEAD_FILES for case in _load(file)]
    names = [case.name for case in cases]
    if doubles := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"names used twice: {sorted(doubles)}")
    return cases


def framing_cases() -> list[FramingCase]:
    """Return all cases of whole exchanges. Raises ValueError for a malformed one."""
    return [_framing_case(case) for case in _load("framing.yaml")]
