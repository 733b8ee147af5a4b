"""What is allowed beyond one value's grammar: rules between fields, and lists whose items differ.

Each rule is declared once, with one sentence, and refused in two places: by a Python validator where a file is read, and by the API
server, which evaluates the rule's CEL expression. ``schema.py`` carries the declarations into the CRD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

NOT_ALLOWED = "not_allowed"
"""The type of every error that carries its own sentence on what is allowed."""

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One broken rule between fields: where (aliases and indexes below the model), the value there, and what is allowed."""

    path: tuple[str | int, ...]
    value: object
    allowed: str


def refuse(refusals: list[Refusal]) -> None:
    """Raise one ``ValidationError`` with every refusal at its own field; do nothing when there is none.

    For use in an "after" validator: pydantic merges these errors, with their paths, into those of the whole document.
    """
    if refusals:
        _raise(refusals)


def _raise(refusals: list[Refusal]) -> NoReturn:
    raise ValidationError.from_exception_data(
        "rules",
        [
            InitErrorDetails(type=PydanticCustomError(NOT_ALLOWED, "{allowed}", {"allowed": one.allowed}), loc=one.path, input=one.value)
            for one in refusals
        ],
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the API server checks it; the validator beside it does the same in Python, and refuses with ``refusal``.

    ``cel`` is the condition that must hold, where ``self`` is the value that has the rule: a model (in its ``RULES``), or what the
    rule annotates. ``field`` is the field below it that an error names. The API server cannot name an item of a list by its index,
    so where the sentence is about something in the items, ``part`` names that for its message.
    """

    cel: str
    allowed: str
    field: str = ""
    part: str = ""

    def refusal(self, value: object, *path: str | int) -> Refusal:
        """That ``value`` breaks the rule, at ``path``, or else at the rule's own field."""
        return Refusal(path or ((self.field,) if self.field else ()), value, self.allowed)

    def validation(self) -> dict[str, str]:
        """The rule as an item of ``x-kubernetes-validations``."""
        entry = {"rule": self.cel, "message": f"{self.part} must be {self.allowed}" if self.part else self.allowed}
        return entry | {"fieldPath": f".{self.field}"} if self.field else entry

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The hook by which an annotation with this rule reaches the schema."""
        return with_rules(handler(schema), [self])


def with_rules(schema: dict[str, Any], rules: Sequence[Rule]) -> dict[str, Any]:
    """``schema`` with ``rules`` after those that it has."""
    found = [*schema.get(VALIDATIONS, ()), *(rule.validation() for rule in rules)]
    return schema | {VALIDATIONS: found} if found else schema


@dataclass(frozen=True, slots=True)
class Unique:
    """Annotation of a list of plain values that may each stand there once, as ``allowed`` says. In the API server it is a set."""

    allowed: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The hook by which pydantic builds the validator."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The hook by which the list's type reaches the schema."""
        return handler(schema) | {LIST_TYPE: "set"}

    def _checked(self, items: tuple[str, ...]) -> tuple[str, ...]:
        refuse([Refusal((number,), one, self.allowed) for number, one in enumerate(items) if one in items[:number]])
        return items


@dataclass(frozen=True, slots=True)
class Keyed:
    """Annotation of a list whose items are told apart by their field ``key``: to the API server it is a map, merged item by item."""

    key: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The hook by which the list's type reaches the schema."""
        return handler(schema) | {LIST_TYPE: "map", "x-kubernetes-list-map-keys": [self.key]}
