"""Revisions: what a policy's spec becomes, and when two policies are enforced alike."""

from clew_crds import parse_policies
from clew_crds.policy import PolicySpec
from clew_crds.revision import RevisionSpec, TracingRevision, enforced, revision_name

HEAD = "apiVersion: clew.dev/v1alpha1\nkind: TracingPolicy\nmetadata: {name: shop}\n"


def spec(text: str) -> PolicySpec:
    [policy] = parse_policies(f"{HEAD}spec: {text}", "p.yaml")
    return policy.spec


def test_a_set_of_the_catalogue_stays_one() -> None:
    kept = enforced(spec("{namespaces: [shop], kernelFunctions: [{set: network, minimumDuration: 1ms}]}"))
    assert [(entry.set, entry.minimum_duration) for entry in kept.kernel_functions] == [("network", "1ms")]


def test_names_depend_on_what_is_enforced_alone() -> None:
    short = spec("{namespaces: [shop], kernelFunctions: [{set: network}]}")
    long = spec(
        "{namespaces: [shop], sampling: {ratio: '1'}, rollout: {maxUnavailable: '3'}, "
        "kernelFunctions: [{set: network, arguments: [], returns: false, attribution: Thread, minimumDuration: 0s}]}"
    )
    other = spec("{namespaces: [shop], kernelFunctions: [{set: files}]}")
    name = revision_name("shop", enforced(short))
    assert revision_name("shop", enforced(long)) == name
    assert revision_name("shop", enforced(other)) != name


def test_an_agent_reads_back_what_the_operator_wrote() -> None:
    before = spec("{namespaces: [shop], kernelFunctions: [{set: network}, {function: f, arguments: [{index: 0}]}]}")
    revision = TracingRevision(
        api_version="clew.dev/v1alpha1",
        kind="TracingRevision",
        metadata={"name": "shop-1"},  # type: ignore[arg-type]  # pydantic makes the model of it
        spec=RevisionSpec(policy="shop", enforced=enforced(before)),
    )
    read = TracingRevision.model_validate(revision.document()).as_policy().spec
    assert read.model_copy(update={"rollout": before.rollout}) == before
