"""From objects as the API server sends them to values: what is kept, what is let go of, and what cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from clew_crds.node import NodeStatus
from clew_crds.status import PolicyStatus
from clew_operator.gather import Unreadable, make_world, read_node, read_pod, read_policy, read_revision, read_tracing
from clew_operator.kinds import Kind, key_of
from clew_operator.placement import Pod, PodGroups, Selection
from clew_operator.planning.world import NodeFacts, PolicyFacts

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)


def policy(name: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"uid-{name}", "generation": 3, "generateName": "x-", "managedFields": [{}], "annotations": {"a": "b"}}
    return {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "metadata": metadata, "spec": spec, **more}


def node(**more: Any) -> dict[str, Any]:
    labels = {"topology.kubernetes.io/zone": "a", "kubernetes.io/os": more.pop("os", "linux")}
    status = {"conditions": [{"type": "Ready", "status": more.pop("ready", "True")}], "nodeInfo": {"kernelVersion": "6.1.0"}}
    return {"metadata": {"name": "n1", "uid": "u1", "labels": labels}, "status": {**status, "images": [{"names": ["x"]}]}, **more}


def test_a_policy_is_read_whatever_its_metadata_hold() -> None:
    facts = read_policy(policy("shop", {"namespaces": ["shop"]}, status={"revision": "shop-1", "newer": True}))
    assert isinstance(facts, PolicyFacts)
    assert (facts.policy.metadata.name, facts.policy.metadata.uid, facts.policy.metadata.generation) == ("shop", "uid-shop", 3)
    assert facts.policy.metadata.annotations == {}
    assert facts.status.revision == "shop-1"


def test_a_status_that_cannot_be_read_counts_as_none() -> None:
    facts = read_policy(policy("shop", {"namespaces": ["shop"]}, status={"revision": "NOT A NAME"}))
    assert isinstance(facts, PolicyFacts)
    assert facts.status == PolicyStatus()


def test_a_policy_that_cannot_be_read_says_why() -> None:
    refused = read_policy(policy("shop", {"namespaces": ["shop"], "sampling": {"ratio": "2"}, "colour": "red"}))
    assert isinstance(refused, Unreadable)
    assert (refused.name, refused.uid, refused.generation) == ("shop", "uid-shop", 3)
    assert [one.split(":")[0] for one in refused.problems] == ["spec.sampling.ratio", "spec.colour"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (node(), NodeFacts("n1", "u1", True, "a", "6.1.0")),
        (node(ready="Unknown"), NodeFacts("n1", "u1", False, "a", "6.1.0")),
        (node(os="windows"), None),
        ({"metadata": {"name": "n1", "uid": "u1"}}, NodeFacts("n1", "u1", False)),
    ],
)
def test_nodes(document: dict[str, Any], expected: NodeFacts | None) -> None:
    assert read_node(document) == expected


def test_pods_that_run() -> None:
    metadata = {"name": "p", "namespace": "shop", "labels": {"b": "2", "a": "1"}}
    runs = {"metadata": metadata, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}
    assert read_pod(runs) == Pod("shop", (("a", "1"), ("b", "2")), "n1")
    assert read_pod({**runs, "status": {"phase": "Succeeded"}}) is None
    assert read_pod({**runs, "spec": {}}) is None
    assert read_pod({**runs, "spec": {"nodeName": "n1"}, "metadata": {"name": "p", "namespace": "shop"}}) == Pod("shop", (), "n1")


def test_a_tracing_keeps_its_spec_when_its_status_cannot_be_read() -> None:
    entries = [{"name": "shop", "uid": "u", "revision": "shop-1"}]
    document: dict[str, Any] = {
        "apiVersion": "clew.dev/v1alpha1",
        "kind": "NodeTracing",
        "metadata": {"name": "n1", "uid": "t1", "generation": 4, "resourceVersion": "77", "ownerReferences": [{"uid": "u1"}]},
        "spec": {"policies": entries},
        "status": {"observedGeneration": 4, "policies": [{"name": "shop", "revision": "shop-1", "state": "Splendid", "reason": "X"}]},
    }
    tracing = read_tracing(document)
    assert [one.document() for one in tracing.spec.policies] == entries
    assert tracing.status == NodeStatus()
    assert (tracing.metadata.generation, tracing.metadata.owner_references) == (4, ({"uid": "u1"},))
    # The version alone is no change that anyone decides by.
    assert tracing == read_tracing({**document, "metadata": {**document["metadata"], "resourceVersion": "78"}})


def test_a_revision_that_cannot_be_read_is_none() -> None:
    document: dict[str, Any] = {
        "apiVersion": "clew.dev/v1alpha1",
        "kind": "TracingRevision",
        "metadata": {"name": "shop-1", "uid": "r1"},
        "spec": {"policy": "shop", "policyUid": "u", "enforced": {"namespaces": ["shop"]}},
        "request": {"id": "1", "action": "Promote", "step": 1},
    }
    revision = read_revision(document)
    assert revision is not None
    assert revision.request is not None
    assert (revision.spec.policy_uid, revision.request.step) == ("u", 1)
    assert read_revision({**document, "spec": {"policy": "shop", "enforced": {"novelty": 1}}}) is None


def test_the_world_names_what_cannot_be_read() -> None:
    good = read_policy(policy("good", {"namespaces": ["shop"]}))
    bad = read_policy(policy("bad", {"namespaces": 1}))
    world = make_world(NOW, {"good": good, "bad": bad}, {}, {}, {}, PodGroups(), {})
    assert list(world.policies) == ["good"]
    assert world.unreadable == {"bad"}
    assert world.placements == {"good": frozenset()}


def test_placements_and_overlaps_follow_pods_and_labels() -> None:
    def read(name: str, spec: dict[str, Any]) -> Any:
        facts = read_policy(policy(name, spec))
        assert isinstance(facts, PolicyFacts)
        return facts.policy

    by_name = read("by-name", {"namespaces": ["shop"]})
    by_label = read("by-label", {"namespaceSelector": {"matchLabels": {"team": "web"}}, "podSelector": {"matchLabels": {"app": "a"}}})
    groups, namespaces = PodGroups(), {"shop": {"team": "web"}, "other": {"team": "web"}, "bare": {}}
    a1, a2, b = Pod("shop", (("app", "a"),), "n1"), Pod("shop", (("app", "a"),), "n1"), Pod("shop", (("app", "b"),), "n2")
    far = Pod("other", (("app", "a"),), "n3")
    for pod in (a1, a2, b, far, Pod("bare", (("app", "a"),), "n4")):
        groups.observe(None, pod)
    assert groups.selected([by_name, by_label], namespaces) == Selection(
        {"by-name": frozenset({"n1", "n2"}), "by-label": frozenset({"n1", "n3"})},
        {"by-name": frozenset({"by-label"}), "by-label": frozenset({"by-name"})},
    )
    groups.observe(a1, None)
    assert groups.selected([by_name], namespaces).placements == {"by-name": {"n1", "n2"}}
    groups.observe(a2, far)
    assert groups.selected([by_name, by_label], namespaces) == Selection(
        {"by-name": frozenset({"n2"}), "by-label": frozenset({"n3"})}, {"by-name": frozenset(), "by-label": frozenset()}
    )


def test_keys_and_kinds() -> None:
    assert key_of({"metadata": {"name": "a"}}) == "a"
    assert key_of({"metadata": {"name": "a", "namespace": "b"}}) == "b/a"
    assert [kind.api_version for kind in (Kind.POLICY, Kind.NODE, Kind.EVENT)] == ["clew.dev/v1alpha1", "v1", "events.k8s.io/v1"]
