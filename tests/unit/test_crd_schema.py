"""From models to structural schemas: each step by a small model, and the rules of structural schemas by all three definitions."""

import enum
from collections.abc import Iterator
from typing import Annotated, ClassVar

import pytest
from clew_crds.base import Bool, Model, Text, Whole
from clew_crds.crd import KINDS, UNSEEN, definition, object_schema
from clew_crds.observed import Time
from clew_crds.rules import Keyed, Rule, Unique
from clew_crds.schema import Schema, people_write, programs_write
from pydantic import ConfigDict, Field, ValidationError

KEY = Text(r"^[a-z]+$", 9, "a key")
WORD = Text(r"^[a-z]*$", 8, "a word", min_length=0)


class Colour(enum.StrEnum):
    """A colour."""

    RED = "Red"
    BLUE = "Blue"


class Part(Model):
    """A part."""

    RULES: ClassVar = (Rule("self.size != 1", "not one", "size"),)

    size: Annotated[int, Whole(1, 9)] = 2
    """How large."""
    colour: Colour | None = None
    """Which colour."""


class Whole_(Model):  # noqa: N801 - the name Whole is taken
    """All of it."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    part: Part = Part()
    """The part of it."""
    parts: Annotated[tuple[Annotated[Part, Rule("self.size < 9", "small", "size")], ...], Field(max_length=3), Keyed("size")] = ()
    """Parts."""
    words: Annotated[tuple[Annotated[str, WORD], ...], Field(max_length=4), Unique("each word once")] = ("a", "b")
    """Words."""
    by_key: Annotated[dict[Annotated[str, KEY], Annotated[str, WORD]], Field(max_length=5)] = Field(default_factory=dict)
    """Words by key."""
    since: Time | None = None
    """Since when."""
    flag: Bool
    """Whether."""


PART = {
    "type": "object",
    "properties": {
        "size": {"description": "How large. Default: 2.", "type": "integer", "minimum": 1, "maximum": 9},
        "colour": {"description": "Which colour.", "type": "string", "enum": ["Red", "Blue"]},
    },
    "x-kubernetes-validations": [{"rule": "self.size != 1", "message": "not one", "fieldPath": ".size"}],
}
WORD_SCHEMA = {
    "type": "string",
    "pattern": "^[a-z]*$",
    "maxLength": 8,
    "x-kubernetes-validations": [{"rule": "self.matches(r'^[a-z]*$')", "message": "a word"}],
}


def test_what_people_write() -> None:
    assert people_write(Whole_) == {
        "description": "All of it.",
        "type": "object",
        "required": ["flag"],
        "properties": {
            "part": PART | {"description": "The part of it."},
            "parts": {
                "description": "Parts.",
                "type": "array",
                "maxItems": 3,
                "items": PART
                | {"description": "A part."}
                | {
                    "x-kubernetes-validations": [
                        *PART["x-kubernetes-validations"],
                        {"rule": "self.size < 9", "message": "small", "fieldPath": ".size"},
                    ]
                },
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["size"],
            },
            "words": {
                "description": 'Words. Default: ["a", "b"].',
                "type": "array",
                "maxItems": 4,
                "items": WORD_SCHEMA,
                "x-kubernetes-list-type": "set",
            },
            "byKey": {
                "description": "Words by key.",
                "type": "object",
                "maxProperties": 5,
                "additionalProperties": WORD_SCHEMA,
                "x-kubernetes-validations": [
                    {"rule": "self.all(key, size(key) <= 9 && key.matches(r'^[a-z]+$'))", "message": "a key"},
                ],
            },
            "since": {
                "description": "Since when.",
                "type": "string",
                "format": "date-time",
                "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
                "minLength": 1,
                "maxLength": 27,
            },
            "flag": {"description": "Whether.", "type": "boolean"},
        },
        "x-kubernetes-map-type": "atomic",
    }


def test_what_programs_write_has_neither_rules_nor_defaults() -> None:
    assert programs_write(Part) == {
        "description": "A part.",
        "type": "object",
        "properties": {
            "size": {"description": "How large.", "type": "integer", "minimum": 1, "maximum": 9},
            "colour": {"description": "Which colour.", "type": "string", "enum": ["Red", "Blue"]},
        },
    }


def test_a_check_in_cel_is_made_only_of_a_text_of_the_pattern() -> None:
    text = Text("^[0-9]+$", 3, "an even number", cel="int(self) % 2 == 0")
    assert text.rule.validation() == {"rule": "self.matches(r'^[0-9]+$') && int(self) % 2 == 0", "message": "an even number"}


def test_a_part_of_the_items_is_named_by_the_message() -> None:
    rule = Rule("false", "more", "steps", part="nodes")
    assert rule.validation() == {"rule": "false", "message": "nodes must be more", "fieldPath": ".steps"}
    assert rule.refusal(3, "steps", 1, "nodes").path == ("steps", 1, "nodes")
    assert rule.refusal(3).path == ("steps",)


def test_unique_items_in_python() -> None:
    with pytest.raises(ValidationError) as caught:
        Whole_.model_validate({"flag": True, "words": ["a", "b", "a"]})
    assert [(error["loc"], error["msg"]) for error in caught.value.errors()] == [(("words", 2), "each word once")]


def nodes(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(f"{path}.{name}", inner)
    for place in ("items", "additionalProperties"):
        if place in schema:
            yield from nodes(f"{path}[{place}]", schema[place])


ALL = [(f"{kind.name}{path}", schema) for kind in KINDS for path, schema in nodes("", object_schema(kind))]
KUBERNETES_OWN = ("apiVersion", "kind", "metadata")
RULES = "x-kubernetes-validations"


@pytest.mark.parametrize(("path", "schema"), [pytest.param(*one, id=one[0]) for one in ALL])
def test_structural(path: str, schema: Schema) -> None:
    assert {"$ref", "anyOf", "allOf", "const", "title", "patternProperties", "propertyNames"}.isdisjoint(schema)
    assert schema.get("default") == (UNSEEN if path == "TracingPolicy.status" else None)
    assert schema["type"] in ("object", "array", "string", "integer", "boolean")
    if path.rpartition(".")[2] in KUBERNETES_OWN:
        return
    assert schema.get("description") or path.endswith(("[items]", "[additionalProperties]"))
    if schema["type"] == "array":
        assert "maxItems" in schema
    if schema["type"] == "string":
        assert "maxLength" in schema or "enum" in schema
    if schema["type"] == "integer":
        assert {"minimum", "maximum"} <= schema.keys()
    if "additionalProperties" in schema:
        assert "maxProperties" in schema
    if schema.get("x-kubernetes-list-type") == "map":
        assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"])


def test_names() -> None:
    names = {kind.definition_name: definition(kind)["spec"] for kind in KINDS}
    assert {name: spec["names"] for name, spec in names.items()} == {  # type: ignore[index]  # a document of YAML
        "tracingpolicies.clew.dev": {
            "kind": "TracingPolicy",
            "listKind": "TracingPolicyList",
            "plural": "tracingpolicies",
            "singular": "tracingpolicy",
            "shortNames": ["ctp"],
            "categories": ["clew"],
        },
        "tracingrevisions.clew.dev": {
            "kind": "TracingRevision",
            "listKind": "TracingRevisionList",
            "plural": "tracingrevisions",
            "singular": "tracingrevision",
            "shortNames": ["ctr"],
            "categories": ["clew"],
        },
        "nodetracings.clew.dev": {
            "kind": "NodeTracing",
            "listKind": "NodeTracingList",
            "plural": "nodetracings",
            "singular": "nodetracing",
            "shortNames": ["cnt"],
            "categories": ["clew"],
        },
    }


def test_lists_that_are_merged_by_item() -> None:
    keys = {path: schema["x-kubernetes-list-map-keys"] for path, schema in ALL if "x-kubernetes-list-map-keys" in schema}
    assert keys == {
        "TracingPolicy.status.overlaps": ["policy"],
        "TracingPolicy.status.conditions": ["type"],
        "NodeTracing.spec.policies": ["name"],
        "NodeTracing.status.policies": ["name"],
        "NodeTracing.status.policies[items].functions": ["function"],
        "NodeTracing.status.losses": ["name"],
    }


def test_rules_stand_only_in_specs_of_policies_and_revisions() -> None:
    assert {".".join(path.split(".")[:2]) for path, schema in ALL if RULES in schema} == {
        "TracingPolicy",  # for the name in its metadata
        "TracingPolicy.spec",
        "TracingRevision.spec",
    }
