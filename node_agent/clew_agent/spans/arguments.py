"""The arguments and return value of a kernel function as span attributes."""

from __future__ import annotations

import sys
from collections.abc import Callable

from clew_agent.functions.layout import FunctionLayout
from clew_agent.model import AttributeValue
from clew_agent.records import FunctionRecord

_ORDER = sys.byteorder
_LARGEST = (1 << 63) - 1


def _unsigned(raw: bytes) -> AttributeValue:
    """OTLP integers are signed: what does not fit is written as text."""
    value = int.from_bytes(raw, _ORDER)
    return value if value <= _LARGEST else str(value)


def _signed(raw: bytes) -> AttributeValue:
    return int.from_bytes(raw, _ORDER, signed=True)


def _bool(raw: bytes) -> AttributeValue:
    return any(raw)


def _string(raw: bytes) -> AttributeValue:
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _pointer(raw: bytes) -> AttributeValue:
    return hex(int.from_bytes(raw, _ORDER))


# One row a kind: a new kind of argument is a line here.
DECODERS: dict[str, Callable[[bytes], AttributeValue]] = {
    "unsigned": _unsigned,
    "signed": _signed,
    "bool": _bool,
    "string": _string,
    "pointer": _pointer,
}


def function_attributes(record: FunctionRecord, layout: FunctionLayout) -> tuple[dict[str, AttributeValue], int]:
    """The attributes, and how many arguments are missing because the record is shorter than the layout or has a kind unknown here."""
    attributes: dict[str, AttributeValue] = {}
    missing = 0
    for argument in layout.arguments:
        raw = record.arguments[argument.offset : argument.offset + argument.size]
        decode = DECODERS.get(argument.kind)
        if decode is None or not raw or (len(raw) < argument.size and argument.kind != "string"):
            missing += 1
            continue
        attributes[f"clew.function.argument.{argument.name}"] = decode(raw)
    decode = DECODERS.get(layout.return_kind or "")
    if decode is not None and 0 < layout.return_size <= 8:
        word = record.returned.to_bytes(8, _ORDER, signed=True)
        attributes["clew.function.return"] = decode(word[: layout.return_size] if _ORDER == "little" else word[-layout.return_size :])
    return attributes, missing
