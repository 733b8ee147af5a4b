"""From pydantic's errors to sentences that a person can act on: the field, the value, and what is allowed.

``spec.sampling.ratio: "1.5" is not allowed: a decimal string from 0 to 1, such as "0.25"``
"""

from __future__ import annotations

import difflib
import enum
import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from clew_crds.rules import NOT_ALLOWED

_LONGEST_VALUE = 60


def problems(model: type[BaseModel], error: ValidationError) -> list[str]:
    """One sentence a problem, in the order of the fields. ``model`` is the one whose validation raised ``error``."""
    return [_sentence(model, one) for one in error.errors(include_url=False) if not _is_echo(one)]


def _is_echo(error: ErrorDetails) -> bool:
    """pydantic calls a list too short when wrong items were left out of it; those items have errors of their own."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _sentence(model: type[BaseModel], error: ErrorDetails) -> str:
    loc, kind = error["loc"], error["type"]
    path = render_path(loc)
    if kind == "extra_forbidden":
        return f"{path}: unknown field{_suggestion(str(loc[-1]), _names_at(model, loc[:-1]))}"
    if kind == "missing":
        return f"{path}: is missing: {_allowed_at(model, loc)}"
    return f"{path}: {render_value(error['input'])} is not allowed: {_allowed(error)}"


def _allowed(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == NOT_ALLOWED:
        return error["msg"]
    if kind in ("enum", "literal_error"):
        return str(context["expected"]).replace("'", '"')
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "an object (fields with values)"
    if kind == "tuple_type":
        return "a list"
    if kind in ("too_long", "too_short"):
        return f"at least {context['min_length']} of them" if kind == "too_short" else f"at most {context['max_length']} of them"
    return error["msg"]


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    folded = [one for one in known if one.lower() == name.lower()]
    if folded or near:
        return f'; did you mean "{(folded or near)[0]}"?'
    return f"; known here: {', '.join(sorted(known))}"


def render_path(loc: Sequence[str | int]) -> str:
    """The path as a person writes it: ``spec.kernelFunctions[2].set``, ``spec.podSelector.matchLabels["a/b"]``."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part == "[key]":
            continue
        elif part.replace("_", "").isalnum():
            text += f".{_cut(part)}" if text else _cut(part)
        else:
            text += f"[{_cut(json.dumps(part, ensure_ascii=False))}]"
    return text or "document"


def render_value(value: object) -> str:
    """A short text for any value that YAML can hold; long strings are cut, and lists and objects only counted."""
    if isinstance(value, Mapping):
        return f"an object of {len(value)} field{'' if len(value) == 1 else 's'}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    plain = value is None or isinstance(value, bool | int | float | str)
    return _cut(json.dumps(value, ensure_ascii=False) if plain else str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _names_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The aliases of the fields that the object at ``loc`` has."""
    owner = model
    for part in loc:
        field = _field(owner, part)
        if field is not None:
            owner = _inner_model(field.annotation) or owner
    return [field.alias or name for name, field in owner.model_fields.items()]


def _allowed_at(model: type[BaseModel], loc: Sequence[str | int]) -> str:
    """What is allowed in the required field at ``loc``."""
    owner, field = model, None
    for part in loc:
        found = _field(owner, part)
        if found is not None:
            field = found
            owner = _inner_model(field.annotation) or owner
    if field is None:
        return "a required field"
    for note in field.metadata:
        if hasattr(note, "allowed"):
            return str(note.allowed)
    choices = _choices(field.annotation)
    return " or ".join(f'"{choice}"' for choice in choices) if choices else "an object (fields with values)"


def _choices(annotation: Any) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(member.value) for member in annotation]
    return [choice for choice in get_args(annotation) if isinstance(choice, str)]


def _field(owner: type[BaseModel], part: str | int) -> FieldInfo | None:
    for name, field in owner.model_fields.items():
        if part == (field.alias or name):
            return field
    return None


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _inner_model(argument)
        if found is not None:
            return found
    return None
