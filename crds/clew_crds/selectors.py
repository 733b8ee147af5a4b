"""Label selectors, and the decision whether a policy selects a pod.

The semantics are those of Kubernetes (apimachinery ``labels.Selector``): every requirement must hold, an empty selector
selects everything, and ``NotIn`` also holds for an object without the key.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field, model_validator

from clew_crds.base import Model, Text
from clew_crds.rules import Rule, refuse

if TYPE_CHECKING:
    from clew_crds.policy import TracingPolicy

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PREFIX = r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*/)?"

LabelKey = Annotated[str, Text(f"^{_PREFIX}{_NAME}$", 317, 'a label key, such as "app" or "app.kubernetes.io/name"')]
LabelValue = Annotated[
    str,
    Text(
        f"^({_NAME})?$",
        63,
        'a label value: up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit',
        min_length=0,
    ),
]
NamespaceName = Annotated[
    str, Text(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", 63, 'a namespace: up to 63 of a-z, 0-9 and "-", such as "bookinfo"')
]


class Operator(enum.StrEnum):
    """How a requirement compares a label with its values."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


def _needs_values(operator: Operator) -> bool:
    return operator in (Operator.IN, Operator.NOT_IN)


def _values_of(operator: Operator) -> Rule:
    some = "has(self.values) && size(self.values) > 0"
    cel, allowed = (
        (some, f"at least one value with {operator}") if _needs_values(operator) else (f"!({some})", f"no values with {operator}")
    )
    return Rule(f"self.operator != '{operator}' || {cel}", allowed, "values")


_VALUES = {operator: _values_of(operator) for operator in Operator}


class LabelRequirement(Model):
    """One condition on one label."""

    RULES: ClassVar = tuple(_VALUES.values())

    key: LabelKey
    """The label that the condition is about."""
    operator: Operator
    """How the label is compared: In, NotIn, Exists or DoesNotExist."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = ()
    """The values of In and NotIn; the other operators take none."""

    @model_validator(mode="after")
    def _values_fit_operator(self) -> LabelRequirement:
        if _needs_values(self.operator) != bool(self.values):
            refuse([_VALUES[self.operator].refusal(self.values)])
        return self

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels meets the condition."""
        if self.operator is Operator.IN:
            return labels.get(self.key) in self.values
        if self.operator is Operator.NOT_IN:
            return labels.get(self.key) not in self.values
        return (self.key in labels) == (self.operator is Operator.EXISTS)


class LabelSelector(Model):
    """Conditions on labels, all of which must hold. An empty selector selects everything."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = Field(default_factory=dict)
    """Labels that must be there with exactly these values."""
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=64)] = ()
    """Further conditions on labels."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.holds(labels) for requirement in self.match_expressions
        )


def selects(policy: TracingPolicy, pod_namespace: str, pod_labels: Mapping[str, str], namespace_labels: Mapping[str, str]) -> bool:
    """Whether ``policy`` covers a pod.

    The pod's namespace must be listed in ``namespaces`` or match ``namespaceSelector``; ``podSelector``, where there is one,
    must match the pod's labels as well.
    """
    spec = policy.spec
    by_label = spec.namespace_selector is not None and spec.namespace_selector.matches(namespace_labels)
    if pod_namespace not in spec.namespaces and not by_label:
        return False
    return spec.pod_selector is None or spec.pod_selector.matches(pod_labels)
