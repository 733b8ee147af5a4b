"""Policies in the docs are right as the models read them, and do what their page says; tests/api/test_docs_policies.py applies them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from clew_agent.enforcement import Intent, intend, plan
from clew_agent.model import Inventory, Pod
from clew_agent.spans.naming import NamingStyle
from clew_crds import TracingPolicy
from clew_crds.catalogue import CATALOGUE
from clew_crds.crd import KINDS, object_schema
from clew_crds.selectors import selects

from tests.docs.commands import pages
from tests.docs.policies import EXAMPLES, Example, examples

ALL = list(examples())
OF_THE_PAGE = [one for one in ALL if one.page == EXAMPLES]
BY_NAME = {policy.metadata.name: policy for one in OF_THE_PAGE for policy in one.policies}
NOT_YET = {"kernelFunctions[].arguments[].field", "kernelFunctions[].attribution"}
"""Agents say of these that they are not supported."""
ON_BOTH_KERNELS = {function.function for one in CATALOGUE.values() for function in one.functions} | {"__set_task_comm"}
"""Kernel tests record these, with the parameters that examples name."""


@pytest.mark.parametrize("example", ALL, ids=str)
def test_an_example_is_valid(example: Example) -> None:
    assert example.policies


def test_examples_name_functions_that_kernel_tests_record() -> None:
    assert {one.function for policy in BY_NAME.values() for one in policy.spec.kernel_functions if one.function} <= ON_BOTH_KERNELS


def test_each_block_of_the_page_is_an_example_under_a_name_of_its_own() -> None:
    assert pages()[EXAMPLES].count("```yaml\n") == len(OF_THE_PAGE)
    names = [re.match(r"# ([a-z-]+)\.yaml\n", one.text) for one in OF_THE_PAGE]
    assert all(names)
    assert len(BY_NAME) == sum(len(one.policies) for one in OF_THE_PAGE)


def fields(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The fields below an object that are no objects themselves, with dots, and ``[]`` behind a list's name."""
    inner = schema.get("items", schema)
    for name, field in inner.get("properties", {}).items():
        yield from fields(field, f"{path}.{name}".removeprefix(".") + ("[]" if "properties" in field.get("items", {}) else ""))
    if not inner.get("properties"):
        yield path


def said(value: object, path: str = "") -> Iterator[str]:
    """The fields that a document has, written likewise."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from said(inner, f"{path}.{name}".removeprefix("."))
    yield path
    if isinstance(value, list):
        for inner in value:
            yield from said(inner, f"{path}[]")


def test_the_examples_have_every_field() -> None:
    spec = object_schema(KINDS[0])["properties"]["spec"]
    documents = [document for one in OF_THE_PAGE for document in yaml.safe_load_all(one.text)]
    found = {path for document in documents for path in said(document["spec"])}
    assert set(fields(spec)) - found == NOT_YET


def test_labels_choose_as_the_page_says() -> None:
    def chosen(namespace: dict[str, str], pod: dict[str, str]) -> bool:
        return selects(BY_NAME["by-labels"], "any", pod, namespace)

    team = {"team": "payments", "environment": "staging"}
    assert chosen(team, {"traced": "yes"})
    assert chosen(team, {"traced": "yes", "tier": "web"})
    assert not chosen(team, {"traced": "yes", "tier": "cron"})
    assert not chosen(team, {})
    assert not chosen({"team": "payments"}, {"traced": "yes"})
    assert selects(BY_NAME["everywhere"], "any", {}, {})


def enforced(*pods: Pod) -> list[tuple[tuple[str, ...], Mapping[str, int], NamingStyle, set[str]]]:
    """Of each pod: which of the two policies that overlap it has, its settings, its names, and what is recorded of it."""
    intent = intend([BY_NAME["b-shop"], BY_NAME["a-checkout"]], Intent())
    scopes = plan(intent, Inventory(pods), {}, lambda _: 1)
    return [
        (
            scope.names,
            scopes.settings[scope.policy].values,
            scopes.settings[scope.policy].spans.naming,
            {function.name for function in intent.functions if function.policies & 1 << scope.policy},
        )
        for scope in scopes.scopes
    ]


def test_of_two_that_overlap_the_first_name_rules_and_functions_of_both_are_recorded() -> None:
    checkout = Pod("checkout", "shop", "1", "node", "/1", labels={"app": "checkout"})
    other = Pod("other", "shop", "2", "node", "/2")
    (both, first, naming, functions), (alone, second, flow, own) = enforced(checkout, other)
    assert (both, first["threshold"], naming, functions) == (
        ("a-checkout", "b-shop"),
        1 << 32,
        NamingStyle.HTTP,
        {"vfs_fsync_range", "tcp_sendmsg"},
    )
    assert (alone, second["threshold"], flow, own) == (("b-shop",), (1 << 32) // 100, NamingStyle.FLOW, {"tcp_sendmsg"})


def test_a_part_of_a_policy_is_one_too() -> None:
    """Blocks that show ``kernelFunctions`` alone."""
    parts = [
        document
        for text in pages().values()
        for block in re.findall(r"^```yaml\n(kernelFunctions:.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for document in yaml.safe_load_all(block)
    ]
    assert len(parts) == 2
    for part in parts:
        whole = {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "metadata": {"name": "p"}}
        TracingPolicy.model_validate({**whole, "spec": {"namespaces": ["shop"], **part}})
