"""From a pydantic model to the structural OpenAPI v3 schema that a CustomResourceDefinition takes.

pydantic writes JSON Schema with references, alternatives and titles; Kubernetes wants each value described in its place, with one type
and nothing that it does not know. Each step here takes one schema and gives back another; ``_structural`` does them in order and goes
on with the schemas inside.

Defaults of fields are told in descriptions and not set by the API server (docs/decisions/007-no-defaults-in-the-schema.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from clew_crds.rules import LIST_TYPE, VALIDATIONS

Schema = dict[str, Any]
Step = Callable[[Schema], Schema]

_KNOWN = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "properties",
    "items",
    "additionalProperties",
    LIST_TYPE,
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    VALIDATIONS,
)
"""Keywords of a structural schema that the models use, in the order in which they are written."""


def people_write(model: type[BaseModel]) -> Schema:
    """The schema of what people write: with the defaults told, and every rule with its sentence."""
    return _of(model, _default_told)


def programs_write(model: type[BaseModel]) -> Schema:
    """The schema of what Clew's programs write for one another: shape and bounds, which cost the API server less than rules."""
    return _of(model, _without_rules)


def _of(model: type[BaseModel], finish: Step) -> Schema:
    document = model.model_json_schema(by_alias=True)
    return _structural(document, document.get("$defs", {}), finish)


def _structural(schema: Schema, definitions: dict[str, Schema], finish: Step) -> Schema:
    """The steps, in order, on ``schema`` and on every schema inside it."""
    schema = _resolved(_without_null(schema), definitions)
    schema = _known(finish(_map_by_key(schema)))
    return _each_inside(schema, lambda inner: _structural(inner, definitions, finish))


def _each_inside(schema: Schema, step: Step) -> Schema:
    """``schema`` with ``step`` done to the schemas of its fields, items and values."""
    changed = dict(schema)
    if "properties" in schema:
        changed["properties"] = {name: step(inner) for name, inner in schema["properties"].items()}
    for place in ("items", "additionalProperties"):
        if place in schema:
            changed[place] = step(schema[place])
    return changed


def _without_null(schema: Schema) -> Schema:
    """``X or null`` as ``X``: a field that may be left out is one that is not required."""
    alternatives: list[Schema] = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(alternatives) != 1:
        return schema
    return alternatives[0] | {keyword: value for keyword, value in schema.items() if keyword != "anyOf"}


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """The definition that ``schema`` refers to, in its place. What stands beside the reference counts more; rules add up."""
    if "$ref" not in schema:
        return schema
    target = definitions[schema["$ref"].removeprefix("#/$defs/")]
    merged = target | {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
    rules = [*target.get(VALIDATIONS, ()), *schema.get(VALIDATIONS, ())]
    return merged | {VALIDATIONS: rules} if rules else merged


def _map_by_key(schema: Schema) -> Schema:
    """A map whose keys have a grammar: a structural schema states none for keys, so the keys' rules become rules of the map."""
    if "patternProperties" not in schema:
        return schema
    [values] = schema["patternProperties"].values()
    keys = schema["propertyNames"]
    rules = [
        rule | {"rule": f"self.all(key, size(key) <= {keys['maxLength']} && {rule['rule'].replace('self.', 'key.')})"}
        for rule in keys[VALIDATIONS]
    ]
    return schema | {"additionalProperties": values, VALIDATIONS: rules}


def _default_told(schema: Schema) -> Schema:
    """A default that says something, at the end of the description. Defaults of objects are those of their fields."""
    default = schema.get("default")
    if default in (None, "", []) or isinstance(default, dict):
        return schema
    return schema | {"description": f"{schema['description']} Default: {json.dumps(default, ensure_ascii=False)}."}


def _without_rules(schema: Schema) -> Schema:
    return {keyword: value for keyword, value in schema.items() if keyword != VALIDATIONS}


def _known(schema: Schema) -> Schema:
    """Only what a structural schema may have; a text of any length needs no least one, and unknown fields are refused anyhow."""
    return {
        keyword: schema[keyword]
        for keyword in _KNOWN
        if keyword in schema and schema[keyword] is not False and (keyword, schema[keyword]) != ("minLength", 0)
    }
