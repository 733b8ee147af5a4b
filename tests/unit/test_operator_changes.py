"""What is written, what waits, and what is held back: differences alone."""

from __future__ import annotations

from clew_crds.node import Assignment, NodeTracing
from clew_crds.observed import Condition, Truth
from clew_crds.revision import TracingRevision
from clew_crds.status import NodeCounts, PolicyStatus, RolloutStatus
from clew_operator.changes import GRACE, PACE, Departures, NodeChange, Pace, node_changes, released, revision_changes, status_changes
from clew_operator.planning.world import NodeFacts

UIDS = {"shop": "u1"}


def tracing(name: str, *revisions: str, owner: str = "u-n1") -> NodeTracing:
    policies = [{"name": revision.split("-")[0], "uid": "u", "revision": revision} for revision in revisions]
    metadata = {"name": name, "ownerReferences": [{"kind": "Node", "name": name, "uid": owner}]}
    document = {"apiVersion": "clew.dev/v1alpha1", "kind": "NodeTracing", "metadata": metadata, "spec": {"policies": policies}}
    return NodeTracing.model_validate(document)


def entries(*revisions: str) -> tuple[Assignment, ...]:
    return tracing("any", *revisions).spec.policies


def condition(kind: str, status: Truth, reason: str = "Because", message: str = "") -> Condition:
    return Condition(type=kind, status=status, last_transition_time="2026-11-25T10:00:00Z", reason=reason, message=message)


def test_progress_is_written_once_a_second_and_equal_statuses_never() -> None:
    pace, old = Pace(), PolicyStatus(nodes=NodeCounts(desired=9, ready=1))
    new = old.model_copy(update={"nodes": NodeCounts(desired=9, ready=2)})
    first = status_changes({"shop": old}, UIDS, {"shop": new}, pace, 100.0)
    assert [(one.policy, one.uid, one.status, one.memory) for one in first.now] == [("shop", "u1", new, False)]
    pace.wrote("shop", 100.0)
    second = status_changes({"shop": old}, UIDS, {"shop": new}, pace, 100.4)
    assert (second.now, second.next) == ((), 100.0 + PACE)
    assert len(status_changes({"shop": old}, UIDS, {"shop": new}, pace, 101.0).now) == 1
    assert status_changes({"shop": new}, UIDS, {"shop": new}, pace, 200.0).now == ()


def test_conditions_and_memory_do_not_wait() -> None:
    pace, old = Pace(), PolicyStatus(conditions=(condition("Ready", Truth.FALSE),))
    pace.wrote("shop", 100.0)

    def written(**update: object) -> list[bool]:
        changes = status_changes({"shop": old}, UIDS, {"shop": old.model_copy(update=update)}, pace, 100.1)
        return [one.memory for one in changes.now]

    assert written(conditions=(condition("Ready", Truth.TRUE),)) == [False]
    assert written(conditions=(condition("Ready", Truth.FALSE, reason="Other"),)) == [False]
    assert written(conditions=(condition("Ready", Truth.FALSE, message="other words"),)) == []
    assert written(rollout=RolloutStatus(step=2)) == [True]
    assert written(rollout=RolloutStatus(failed_revision="shop-1")) == [True]
    assert written(rollout=RolloutStatus(handled_request="1")) == [True]
    assert written(rollout=RolloutStatus(last_progress_time="2026-11-25T10:00:00Z")) == []
    assert written(stable_revision="shop-1") == [True]


def test_a_policy_that_is_gone_has_no_status() -> None:
    assert status_changes({}, {}, {"shop": PolicyStatus(message="x")}, Pace(), 0.0).now == ()


def test_tracings_that_are_missing_differ_or_are_another_nodes() -> None:
    nodes = {name: NodeFacts(name, f"u-{name}", True) for name in ("n1", "n2", "n3", "n4")}
    tracings = {
        "n1": tracing("n1", "shop-1"),
        "n2": tracing("n2", "bank-1", "shop-1", owner="u-n2"),
        "n3": tracing("n3", "shop-1", owner="the node of this name before"),
    }
    wanted = {"n1": entries("shop-1"), "n2": entries("bank-1", "shop-2"), "n3": entries("shop-1"), "n4": (), "gone": ()}
    assert node_changes(nodes, tracings, wanted) == (
        NodeChange("n2", "u-n2", entries("bank-1", "shop-2"), frozenset({"shop"})),
        NodeChange("n3", "u-n3", entries("shop-1"), frozenset()),
        NodeChange("n4", "u-n4", (), frozenset()),
    )


def test_what_depends_on_a_write_that_failed_is_held_back() -> None:
    shop = NodeChange("n1", "u", entries("shop-2"), frozenset({"shop"}))
    bank = NodeChange("n2", "u", entries("bank-2", "shop-1"), frozenset({"bank"}))
    plain = NodeChange("n3", "u", (), frozenset())
    changes = (shop, bank, plain)
    assert released(changes, frozenset(), frozenset()) == changes
    assert released(changes, frozenset({"shop"}), frozenset()) == (bank, plain)
    assert released(changes, frozenset(), frozenset({"bank-2"})) == (shop, plain)


def test_a_revision_is_made_unless_this_very_policy_has_it() -> None:
    def revision(uid: str) -> TracingRevision:
        spec = {"policy": "shop", "policyUid": uid, "enforced": {"namespaces": ["shop"]}}
        document = {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingRevision", "metadata": {"name": "shop-1"}, "spec": spec}
        return TracingRevision.model_validate(document)

    mine = revision("u1")
    assert revision_changes({}, (mine,)) == (mine,)
    assert revision_changes({"shop-1": mine}, (mine,)) == ()
    assert revision_changes({"shop-1": revision("u0")}, (mine,)) == (mine,)


def test_tracings_of_gone_nodes_are_left_to_garbage_collection_for_a_while() -> None:
    departures, tracings = Departures(), {"n1": tracing("n1"), "n2": tracing("n2")}
    both = {name: NodeFacts(name, "u", True) for name in tracings}
    assert departures.due(tracings, both, 0.0) == ((), None)
    one = {"n1": both["n1"]}
    assert departures.due(tracings, one, 10.0) == ((), 10.0 + GRACE)
    assert departures.due(tracings, {}, 15.0) == ((), 10.0 + GRACE)
    assert departures.due(tracings, {}, 10.0 + GRACE) == (("n2",), 15.0 + GRACE)
    # A node that is back begins anew.
    assert departures.due(tracings, one, 41.0) == (("n2",), None)
    assert departures.due(tracings, {}, 50.0) == (("n2",), 50.0 + GRACE)
