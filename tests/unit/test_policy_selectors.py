"""Which pods a policy selects, and that label selectors mean what they mean in Kubernetes."""

from typing import Any

import pytest
from clew_crds import TracingPolicy, selects


def policy(**spec: Any) -> TracingPolicy:
    return TracingPolicy.model_validate(
        {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "metadata": {"name": "p"}, "spec": spec}
    )


@pytest.mark.parametrize(
    ("spec", "chosen"),
    [
        ({"namespaces": ["shop"]}, True),
        ({"namespaces": ["till"]}, False),
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "red"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "blue"}}}, False),
        ({"namespaces": ["till"], "namespaceSelector": {"matchLabels": {"team": "red"}}}, True),
        ({"namespaces": ["shop"], "namespaceSelector": {"matchLabels": {"team": "blue"}}}, True),
        ({"namespaces": ["shop"], "podSelector": {}}, True),
        ({"namespaces": ["shop"], "podSelector": {"matchLabels": {"tier": "web"}}}, True),
        ({"namespaces": ["shop"], "podSelector": {"matchLabels": {"tier": "web", "team": "red"}}}, False),
        ({"namespaces": ["till"], "podSelector": {"matchLabels": {"tier": "web"}}}, False),
    ],
)
def test_selects(spec: dict[str, Any], chosen: bool) -> None:
    assert selects(policy(**spec), "shop", {"tier": "web", "empty": ""}, {"team": "red"}) is chosen


@pytest.mark.parametrize(
    ("requirement", "chosen"),
    [
        ({"key": "tier", "operator": "In", "values": ["web", "api"]}, True),
        ({"key": "tier", "operator": "In", "values": ["api"]}, False),
        ({"key": "none", "operator": "In", "values": ["api"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["api"]}, True),
        ({"key": "tier", "operator": "NotIn", "values": ["web"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["web"]}, True),
        ({"key": "tier", "operator": "Exists"}, True),
        ({"key": "none", "operator": "Exists"}, False),
        ({"key": "tier", "operator": "DoesNotExist"}, False),
        ({"key": "none", "operator": "DoesNotExist"}, True),
        ({"key": "empty", "operator": "In", "values": [""]}, True),
    ],
)
def test_match_expressions(requirement: dict[str, Any], chosen: bool) -> None:
    found = policy(namespaces=["shop"], podSelector={"matchExpressions": [requirement]})
    assert selects(found, "shop", {"tier": "web", "empty": ""}, {}) is chosen


def test_every_expression_must_hold() -> None:
    both = [{"key": "tier", "operator": "Exists"}, {"key": "old", "operator": "Exists"}]
    assert not selects(policy(namespaces=["shop"], podSelector={"matchExpressions": both}), "shop", {"tier": "web"}, {})
