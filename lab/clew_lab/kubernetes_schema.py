"""Makes the JSON Schema by which tests check objects against a release of Kubernetes that the lab does not run: the oldest supported.

A release's swagger.json is in its Go module, below ``api/openapi-spec``. Of it, only the kinds asked for are kept, and what they are
made of; fields that are not in it become errors, as with ``kubectl --validate=strict``::

    python -m clew_lab.kubernetes_schema swagger.json tests/api/data/kubernetes-1.30.json.xz apps/v1/Deployment v1/Service …
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_REFERENCE = "#/definitions/"
_KINDS = "x-kubernetes-group-version-kind"
_KEPT = ("type", "$ref", "items", "properties", "additionalProperties", "required", "enum")
# Go types that read more than one type of JSON, which swagger cannot say.
_LENIENT = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}


def strict_schema(swagger: Mapping[str, Any], kinds: Iterable[str]) -> dict[str, Any]:
    """A schema with ``definitions``, and ``kinds`` that maps ``apps/v1/Deployment`` to the name of its definition.

    Raises ``KeyError`` for a kind that the release does not have.
    """
    named = {_kind(one): name for name, definition in swagger["definitions"].items() for one in definition.get(_KINDS, ())}
    wanted = {kind: named[kind] for kind in kinds}
    found: dict[str, Any] = {}
    open_names = list(wanted.values())
    while open_names:
        name = open_names.pop()
        if name not in found:
            found[name] = _LENIENT.get(name) or _strict(swagger["definitions"][name])
            open_names += [reference.removeprefix(_REFERENCE) for reference in _references(found[name])]
    return {"kinds": wanted, "definitions": dict(sorted(found.items()))}


def _kind(one: Mapping[str, str]) -> str:
    return "/".join(part for part in (one["group"], one["version"], one["kind"]) if part)


def _strict(definition: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: definition[key] for key in _KEPT if key in definition}
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = _strict(kept[key])
    if "properties" in kept:
        kept["properties"] = {name: _strict(part) for name, part in kept["properties"].items()}
        kept.setdefault("additionalProperties", False)
    return kept


def _references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [one for inner in part.values() for one in _references(inner)]
    return []


def main(arguments: list[str]) -> None:
    """The command line: swagger.json, the file to write, kinds."""
    swagger, target, *kinds = arguments
    schema = strict_schema(json.loads(Path(swagger).read_text()), kinds)
    Path(target).write_bytes(lzma.compress(json.dumps(schema, separators=(",", ":")).encode()))


if __name__ == "__main__":
    main(sys.argv[1:])
