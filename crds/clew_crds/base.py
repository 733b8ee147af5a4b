"""What all of the API's models share: their configuration, and types whose errors say what is allowed.

pydantic's own messages speak of patterns and Python types. A person who writes a policy wants to hear "a decimal string from
0 to 1", so every bounded type here carries that sentence, and ``problems.py`` puts field, value and sentence together. The
constraints themselves stay plain JSON Schema (pattern, length, minimum, maximum), from which the CRD is generated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

NOT_ALLOWED = "not_allowed"
"""The type of every error that carries its own sentence on what is allowed."""


class Model(BaseModel):
    """An object of the API: immutable, camelCase in files, and refusing every field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Text:
    """Annotation of a string: its pattern (RE2 and Python alike), greatest length, and what ``allowed`` says of both.

    ``check`` is for what no pattern can express; it raises ``ValueError`` to refuse.
    """

    pattern: str
    max_length: int
    allowed: str
    check: Callable[[str], object] | None = None
    min_length: int = 1

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The hook by which pydantic builds the validator."""
        schema: CoreSchema = core_schema.str_schema(
            pattern=self.pattern, max_length=self.max_length, min_length=self.min_length, strict=True
        )
        if self.check is not None:
            schema = core_schema.no_info_after_validator_function(self._checked, schema)
        return core_schema.custom_error_schema(schema, NOT_ALLOWED, custom_error_message=self.allowed)

    def _checked(self, text: str) -> str:
        if self.check is not None:
            self.check(text)
        return text


@dataclass(frozen=True, slots=True)
class Whole:
    """Annotation of an integer from ``low`` to ``high``, both included. ``of`` names what is counted."""

    low: int
    high: int
    of: str = ""

    @property
    def allowed(self) -> str:
        """The sentence for an error."""
        return f"a whole number{' of ' + self.of if self.of else ''} from {self.low} to {self.high}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The hook by which pydantic builds the validator."""
        schema = core_schema.int_schema(ge=self.low, le=self.high, strict=True)
        return core_schema.custom_error_schema(schema, NOT_ALLOWED, custom_error_message=self.allowed)


@dataclass(frozen=True, slots=True)
class Flag:
    """Annotation of a boolean that is really one: neither ``1`` nor ``"yes"``."""

    allowed: str = "true or false"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The hook by which pydantic builds the validator."""
        return core_schema.custom_error_schema(core_schema.bool_schema(strict=True), NOT_ALLOWED, custom_error_message=self.allowed)


Bool = Annotated[bool, Flag()]


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
