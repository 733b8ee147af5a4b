"""Writes what follows in ``charts/clew`` from elsewhere, so that each thing is declared once: ``python -m clew_lab.chart``.

- ``files/crds/`` from ``crds/``: a chart cannot reach files outside itself. Helm is told to keep them on uninstall.
- ``values.schema.json`` and the settings in ``README.md`` from ``values.yaml``: the comment above a key is its description, and the
  key's type is that of its default. A last line of the comment, ``schema: {…}``, adds what JSON Schema can say beyond that. A key with
  commented keys below it is a section; any other mapping is a default like any other.

With ``--check`` it names the files that differ, and writes nothing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from clew_crds.made_files import Files, make, with_part

CHECKOUT = Path(__file__).resolve().parents[2]
_CHART = "charts/clew"
_KEEP = "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n"
_BEGIN = "<!-- Made from values.yaml by `python -m clew_lab.chart`: edit that. -->\n"
_HINT = "schema: "
_TYPES = {"bool": "boolean", "int": "integer", "str": "string", "seq": "array", "map": "object"}


class ChartError(ValueError):
    """A source says something that cannot be carried over; the message names the place."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of values.yaml. A section has ``parts`` and no default of its own."""

    path: tuple[str, ...]
    description: str
    type: str
    default: Any
    hint: dict[str, Any]
    parts: tuple[Setting, ...]


def settings(text: str) -> tuple[Setting, ...]:
    """The keys of a values.yaml, in its order. Raises ``ChartError`` for one without a comment or with a broken hint."""
    return tuple(_settings(yaml.compose(text, yaml.SafeLoader), (), text.splitlines()))


def _settings(mapping: yaml.Node | None, above: tuple[str, ...], lines: Sequence[str]) -> Iterator[Setting]:
    if not isinstance(mapping, yaml.MappingNode):
        raise ChartError("values.yaml: not a mapping")
    for key, value in mapping.value:
        path = (*above, key.value)
        comment = _comment(lines, key.start_mark.line)
        if not comment:
            raise ChartError(f"values.yaml: {'.'.join(path)} has no comment, which would be its documentation")
        hint = {}
        if comment[-1].startswith(_HINT):
            hint = yaml.safe_load(comment.pop().removeprefix(_HINT))
            if not isinstance(hint, dict) or not comment:
                raise ChartError(f"values.yaml: {'.'.join(path)}: a hint is a mapping, below a description")
        section = isinstance(value, yaml.MappingNode) and _has_comments_below(lines, key.start_mark.line, value)
        yield Setting(
            path=path,
            description=" ".join(comment),
            type=_TYPES[value.tag.rpartition(":")[2]],
            default=None if section else yaml.safe_load(yaml.serialize(value)),
            hint=hint,
            parts=tuple(_settings(value, path, lines)) if section else (),
        )


def _has_comments_below(lines: Sequence[str], line: int, mapping: yaml.MappingNode) -> bool:
    return any(part.start_mark.line > line and _comment(lines, part.start_mark.line) for part, _ in mapping.value)


def _comment(lines: Sequence[str], line: int) -> list[str]:
    """The lines of comment right above a line that begins with a key, without their ``#``."""
    first = line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return [one.strip().removeprefix("#").strip() for one in lines[first:line]]


def schema(tops: Sequence[Setting]) -> str:
    """The text of values.schema.json. Helm itself puts ``global`` into the values of a chart that another one includes."""
    properties = _properties(tops) | {"global": {"description": "Of charts that include this one.", "type": "object"}}
    document = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    return json.dumps(document | {"properties": properties, "additionalProperties": False}, indent=2) + "\n"


def _properties(parts: Sequence[Setting]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in parts:
        below = {"properties": _properties(one.parts), "additionalProperties": False} if one.parts else {}
        found[one.path[-1]] = {"description": one.description, "type": one.type, **below, **one.hint}
    return found


def reference(tops: Sequence[Setting]) -> str:
    """The settings as Markdown: a table for each section."""
    parts = []
    for top in tops:
        rows = "".join(f"| {cell} |\n" for cell in _rows(top.parts))
        parts.append(f"\n### `{top.path[0]}`\n\n{top.description}\n\n| setting | default | meaning |\n|---|---|---|\n{rows}")
    return "".join(parts)


def _rows(parts: Sequence[Setting]) -> Iterator[str]:
    for one in parts:
        default = "" if one.parts else f"`{json.dumps(one.default)}`"
        yield f"`{'.'.join(one.path)}` | {default} | {_meaning(one)}"
        yield from _rows(one.parts)


def _meaning(setting: Setting) -> str:
    choices = ", ".join(f"`{one}`" for one in setting.hint.get("enum", ()))
    return setting.description.replace("|", "\\|") + (f" One of {choices}." if choices else "")


def kept(name: str, text: str) -> str:
    """A CustomResourceDefinition with the word to Helm that it stays on uninstall. Raises ``ChartError`` if it has annotations already."""
    if "annotations" in yaml.safe_load(text)["metadata"]:
        raise ChartError(f"crds/{name}: it has annotations, and the chart is to add one")
    return re.sub(r"^metadata:\n", lambda _: _KEEP, text, count=1, flags=re.MULTILINE)


def generated(checkout: Path) -> Files:
    """What each file shall hold. README.md keeps what stands before and after its generated part; a definition that is no more goes."""
    chart = checkout / _CHART
    tops = settings((chart / "values.yaml").read_text())
    page = chart / "README.md"
    files: dict[Path, str | None] = dict.fromkeys((chart / "files/crds").glob("*"))
    files |= {chart / "values.schema.json": schema(tops), page: with_part(page.read_text(), _BEGIN, reference(tops))}
    for source in sorted((checkout / "crds").glob("*.yaml")):
        files[chart / "files/crds" / source.name] = kept(source.name, source.read_text())
    return files


def main(arguments: Sequence[str] | None = None, checkout: Path = CHECKOUT) -> int:
    """The command line."""
    return make("python -m clew_lab.chart", (__doc__ or "").splitlines()[0], "its source", generated, arguments, checkout)


if __name__ == "__main__":
    sys.exit(main())
