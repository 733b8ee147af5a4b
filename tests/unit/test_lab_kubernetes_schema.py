"""A strict schema of a few kinds out of a release's swagger."""

from typing import Any

import pytest
from clew_lab.kubernetes_schema import strict_schema

EITHER = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
SWAGGER: dict[str, Any] = {
    "definitions": {
        "Pod": {
            "description": "A pod.",
            "type": "object",
            "required": ["port"],
            "properties": {
                "port": {"description": "Its port.", "$ref": f"#/definitions/{EITHER}"},
                "labels": {"type": "object", "additionalProperties": {"type": "string", "format": "any"}},
                "owners": {"type": "array", "items": {"$ref": "#/definitions/Owner"}},
            },
            "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
        },
        "Owner": {"type": "object", "properties": {"pod": {"$ref": "#/definitions/Pod"}}},
        "Other": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "g", "version": "v1", "kind": "Other"}]},
        EITHER: {"type": "string", "format": "int-or-string"},
    }
}


def test_a_kind_comes_with_what_it_is_made_of_and_takes_nothing_else() -> None:
    assert strict_schema(SWAGGER, ["v1/Pod"]) == {
        "kinds": {"v1/Pod": "Pod"},
        "definitions": {
            "Owner": {"type": "object", "properties": {"pod": {"$ref": "#/definitions/Pod"}}, "additionalProperties": False},
            "Pod": {
                "type": "object",
                "properties": {
                    "port": {"$ref": f"#/definitions/{EITHER}"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "owners": {"type": "array", "items": {"$ref": "#/definitions/Owner"}},
                },
                "required": ["port"],
                "additionalProperties": False,
            },
            EITHER: {"type": ["string", "integer"]},
        },
    }


def test_a_kind_that_the_release_does_not_have_is_refused() -> None:
    assert strict_schema(SWAGGER, ["g/v1/Other"])["definitions"] == {"Other": {"type": "object"}}
    with pytest.raises(KeyError, match="v2/Pod"):
        strict_schema(SWAGGER, ["v2/Pod"])
