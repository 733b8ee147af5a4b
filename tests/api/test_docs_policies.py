"""A real API server takes every policy of the docs as it stands there, and gives it back."""

from __future__ import annotations

import json

import pytest
import yaml
from clew_crds import TracingPolicy
from clew_lab.cluster import Cluster

from tests.docs.policies import Example, examples

ALL = list(examples())

pytestmark = pytest.mark.usefixtures("kinds")


@pytest.mark.parametrize("example", ALL, ids=str)
def test_an_example_is_applied_and_comes_back(cluster: Cluster, example: Example) -> None:
    cluster.kubectl("apply", "--server-side", "--validate=strict", "--filename=-", input=example.text)
    for applied, policy in zip(yaml.safe_load_all(example.text), example.policies, strict=True):
        stored = json.loads(cluster.kubectl("get", "tracingpolicies.clew.dev", policy.metadata.name, "--output=json").stdout)
        assert stored["spec"] == applied["spec"]
        assert TracingPolicy.model_validate(stored).spec == policy.spec
    cluster.kubectl("delete", "--filename=-", input=example.text)
