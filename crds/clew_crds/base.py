"""What all of the API's models share: their configuration, and types whose errors say what is allowed.

pydantic's own messages speak of patterns and Python types. A person who writes a policy wants to hear "a decimal string from
0 to 1", so every bounded type here carries that sentence, and ``problems.py`` puts field, value and sentence together. The
constraints themselves stay plain JSON Schema (pattern, length, minimum, maximum), from which the CRD is generated; beside them
goes the sentence, as the message of a CEL rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from clew_crds.rules import NOT_ALLOWED, Rule, with_rules


class Model(BaseModel):
    """An object of the API: immutable, camelCase in files, and refusing every field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)

    RULES: ClassVar[tuple[Rule, ...]] = ()
    """Rules between the fields, which the model's validators check in Python."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The hook by which the rules reach the schema."""
        resolved = handler.resolve_ref_schema(handler(schema))
        resolved.update(with_rules(resolved, cls.RULES))
        return resolved


@dataclass(frozen=True, slots=True)
class Text:
    """Annotation of a string: its pattern (RE2 and Python alike), greatest length, and what ``allowed`` says of both.

    ``check`` is for what no pattern can express; it raises ``ValueError`` to refuse. The API server is told the same by ``cel``,
    which is evaluated only for a text of the pattern, or by one of JSON Schema's formats.
    """

    pattern: str
    max_length: int
    allowed: str
    check: Callable[[str], object] | None = None
    min_length: int = 1
    cel: str = ""
    json_format: str = ""

    @property
    def rule(self) -> Rule:
        """Pattern and check as a rule of the API server, whose message is the sentence."""
        matches = f"self.matches(r'{self.pattern}')"
        return Rule(f"{matches} && {self.cel}" if self.cel else matches, self.allowed)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The hook by which pydantic builds the validator."""
        schema: CoreSchema = core_schema.str_schema(
            pattern=self.pattern, max_length=self.max_length, min_length=self.min_length, strict=True
        )
        if self.check is not None:
            schema = core_schema.no_info_after_validator_function(self._checked, schema)
        return core_schema.custom_error_schema(schema, NOT_ALLOWED, custom_error_message=self.allowed)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The hook by which the sentence reaches the schema."""
        plain = handler(schema)
        return plain | {"format": self.json_format} if self.json_format else with_rules(plain, [self.rule])

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
