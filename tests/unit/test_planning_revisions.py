"""Which revisions are made and which are deleted."""

from clew_crds.revision import TracingRevision
from clew_operator.planning.plan import plan

from tests.unit.planning_world import Cluster


def test_a_revision_is_owned_by_its_policy_and_labelled_with_it() -> None:
    cluster = Cluster()
    name = cluster.apply("shop")
    (revision,) = cluster.look().create_revisions
    assert revision.document() == {
        "apiVersion": "clew.dev/v1alpha1",
        "kind": "TracingRevision",
        "metadata": {
            "name": name,
            "uid": "",
            "resourceVersion": "",
            "generation": 0,
            "labels": {"clew.dev/policy": "shop"},
            "ownerReferences": [
                {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "name": "shop", "uid": "uid-shop-1", "controller": True}
            ],
        },
        "spec": {
            "policy": "shop",
            "policyUid": "uid-shop-1",
            "enforced": revision.spec.enforced.model_dump(mode="json", by_alias=True, exclude_none=True),
        },
    }
    assert revision.spec.enforced.limits.spans_per_request == 1
    assert cluster.look().create_revisions == ()


def test_five_unused_revisions_are_kept_the_newest_ones() -> None:
    cluster = Cluster(nodes=1)
    made = []
    for size in range(1, 10):
        made.append(cluster.apply("shop", size=size, rollout={"paused": True} if size > 1 else {}))
        cluster.looks()
        cluster.answer()
        cluster.looks()
        cluster.wait(minutes=1)
    assert sorted(cluster.revisions) == sorted([made[0], *made[-6:]])


def test_a_revision_that_a_node_is_still_told_is_not_deleted() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply("shop", rollout={"maxUnavailable": "1"})
    cluster.roll_out("shop")
    stuck = cluster.apply("shop", size=2)
    cluster.looks()
    cluster.apply("shop", size=2, rollout={"paused": True})
    for size in range(3, 12):
        cluster.wait(minutes=1)
        cluster.apply("shop", size=size)
        cluster.looks()
    assert len(cluster.having("shop", stuck)) == 1
    assert stuck in cluster.revisions
    assert len(cluster.revisions) == 8


def test_a_revision_that_was_deleted_by_hand_is_made_again() -> None:
    cluster = Cluster(nodes=3)
    name = cluster.apply("shop")
    cluster.roll_out("shop")
    del cluster.revisions[name]
    cluster.add_node("n4")
    assert [one.metadata.name for one in cluster.look().create_revisions] == [name]
    assert cluster.having("shop", name) == ["n1", "n2", "n3"]
    cluster.looks()
    assert cluster.having("shop", name) == ["n1", "n2", "n3", "n4"]


def test_a_stable_revision_that_is_missing_stays_where_it_is_and_is_told_to_nobody() -> None:
    cluster = Cluster(nodes=3)
    stable = cluster.apply("shop", rollout={"maxUnavailable": "1"})
    cluster.roll_out("shop")
    newest = cluster.apply("shop", size=2)
    cluster.looks()
    (first,) = cluster.having("shop", newest)
    del cluster.revisions[stable]
    cluster.answer(first, state="Failed", reason="FunctionNotFound")
    cluster.looks()
    assert cluster.told("shop") == {name: stable for name in ("n1", "n2", "n3") if name != first}


def test_a_revision_of_a_policy_that_was_deleted_is_replaced_before_anything_is_told() -> None:
    cluster = Cluster(nodes=1)
    name = cluster.apply("shop")
    cluster.look()
    old = cluster.revisions[name]
    cluster.delete("shop")
    cluster.apply("shop")
    cluster.revisions[name] = old
    planned = cluster.look()
    assert (planned.create_revisions, planned.delete_revisions) == ((), (name,))
    assert cluster.told("shop") == {}
    planned = cluster.look()
    assert [one.spec.policy_uid for one in planned.create_revisions] == ["uid-shop-3"]
    cluster.looks()
    assert cluster.told("shop") == {"n1": name}


def test_a_revision_that_is_being_deleted_is_neither_told_nor_deleted_again() -> None:
    cluster = Cluster(nodes=1)
    name = cluster.apply("shop")
    cluster.look()
    document = cluster.revisions[name].document()
    document["metadata"]["deletionTimestamp"] = "2026-11-25T10:00:00Z"
    cluster.revisions[name] = TracingRevision.model_validate(document)
    planned = plan(cluster.world())
    assert (planned.create_revisions, planned.delete_revisions, planned.assignments) == ((), (), {"n1": ()})
