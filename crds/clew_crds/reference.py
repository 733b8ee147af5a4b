"""The reference of the API's fields, as Markdown tables: for each field what it says, and what is allowed.

Objects that occur in several places are described once; elsewhere stands where.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from clew_crds.crd import GROUP, Kind, object_schema
from clew_crds.observed import UNBOUNDED
from clew_crds.rules import VALIDATIONS
from clew_crds.schema import Schema


def reference(kinds: Iterable[Kind]) -> str:
    """A section with a table for each kind."""
    described: dict[str, str] = {}
    return "\n".join(_section(kind, described) for kind in kinds)


def _section(kind: Kind, described: dict[str, str]) -> str:
    head = f"### {kind.name}\n\n`{kind.plural}.{GROUP}`, short name `{kind.short}`. {kind.model.__doc__}\n"
    table = "| field | | allowed |\n| --- | --- | --- |\n"
    parts = object_schema(kind)["properties"]
    rows = (
        f"| `{path}` | {_cell(text)} | {_cell(values)} |\n"
        for name in kind.parts
        for path, text, values in _rows(name, parts[name], described)
    )
    return f"{head}\n{table}{''.join(rows)}"


def _rows(path: str, schema: Schema, described: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Path, description and values of every field at and below ``path``, those of items with ``[]`` behind the list's name.

    ``described`` tells where each object's fields have been described already.
    """
    inner = schema.get("items", schema)
    below = path + "[]" if inner is not schema else path
    fields = inner.get("properties", {})
    place = described.setdefault(json.dumps(fields), path)
    elsewhere = bool(fields) and place != path
    yield path, schema["description"], f"as `{place}`" if elsewhere else allowed(schema)
    if not elsewhere:
        for name, field in fields.items():
            yield from _rows(f"{below}.{name}", field, described)


def allowed(schema: Schema) -> str:
    """What a value may be, in one phrase: the models' own sentence where there is one."""
    if schema["type"] == "array":
        return _list(schema)
    if "enum" in schema:
        return ", ".join(f'"{value}"' for value in schema["enum"])
    if schema["type"] == "string":
        sentences = [rule["message"] for rule in schema.get(VALIDATIONS, ())]
        return sentences[0] if sentences else f"text of up to {schema['maxLength']} characters"
    if schema["type"] == "integer":
        return f"from {schema['minimum']}" if schema["maximum"] == UNBOUNDED else f"{schema['minimum']} to {schema['maximum']}"
    if "additionalProperties" in schema:
        return f"up to {schema['maxProperties']} labels"
    return "true, false" if schema["type"] == "boolean" else ""


def _list(schema: Schema) -> str:
    items = allowed(schema["items"])
    counted = f"{schema['minItems']} to {schema['maxItems']}" if "minItems" in schema else f"up to {schema['maxItems']}"
    return f"{counted} of: {items}" if items else counted


def _cell(text: str) -> str:
    """Text in a table's cell: no bars, and nothing that Markdown takes for a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
