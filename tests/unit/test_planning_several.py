"""Policies that share nodes."""

from tests.unit.planning_world import THREE_STEPS, Cluster


def test_each_has_its_own_rollout_and_a_nodes_list_is_by_name() -> None:
    cluster = Cluster(nodes=4)
    cluster.apply("zeta", rollout={"maxUnavailable": "100%"})
    cluster.roll_out("zeta")
    alpha = cluster.apply("alpha", rollout={"steps": THREE_STEPS})
    cluster.looks()
    (first,) = cluster.having("alpha", alpha)
    assert [entry.name for entry in cluster.tracings[first].spec.policies] == ["alpha", "zeta"]
    assert cluster.conditions("zeta")["Ready"] == "True"
    cluster.report(first, {"alpha": ("Failed", "FunctionNotFound", "")})
    cluster.looks()
    assert (cluster.conditions("alpha")["Stalled"], cluster.conditions("zeta")["Ready"]) == ("True", "True")
    assert cluster.told("alpha") == {}
    assert len(cluster.told("zeta")) == 4


def test_a_node_that_is_busy_with_another_policy_counts_against_max_unavailable() -> None:
    cluster = Cluster(nodes=4)
    rollout = {"maxUnavailable": "1"}
    cluster.apply("alpha", rollout=rollout)
    cluster.roll_out("alpha")
    cluster.apply("zeta", rollout=rollout)
    cluster.roll_out("zeta")
    alpha = cluster.apply("alpha", size=2)
    cluster.looks()
    zeta = cluster.apply("zeta", size=2)
    cluster.looks()
    (busy,) = cluster.having("alpha", alpha)
    assert cluster.having("zeta", zeta) == []
    assert f"waiting for {busy} (busy with another policy)" in cluster.statuses["zeta"].message
    cluster.roll_out("alpha")
    cluster.roll_out("zeta")


def test_policies_begin_with_the_nodes_that_run_their_pods() -> None:
    cluster = Cluster(nodes=10)
    cluster.placements = {"alpha": frozenset({"n3"}), "zeta": frozenset({"n7"})}
    for name in ("alpha", "zeta"):
        cluster.apply(name, rollout={"steps": THREE_STEPS})
    cluster.looks()
    assert (list(cluster.told("alpha")), list(cluster.told("zeta"))) == (["n3"], ["n7"])


def test_a_node_has_room_for_sixty_four_and_the_oldest_have_it() -> None:
    cluster = Cluster(nodes=1)
    for number in range(64):
        cluster.apply(f"policy-{number:02}")
    cluster.looks()
    cluster.wait(seconds=1)
    cluster.apply("a-late-one")
    cluster.looks()
    assert len(cluster.tracings["n1"].spec.policies) == 64
    assert cluster.told("a-late-one") == {}
    assert cluster.reason("a-late-one") == "TooManyPolicies"
    assert cluster.statuses["a-late-one"].message == (
        "a node has room for 64 policies, and there are as many older ones; delete one of them, or merge some"
    )
    cluster.delete("policy-07")
    cluster.looks()
    assert list(cluster.told("a-late-one")) == ["n1"]


def test_what_nodes_have_of_a_policy_that_cannot_be_read_stays() -> None:
    cluster = Cluster(nodes=2)
    revision = cluster.apply("newer")
    cluster.apply("shop")
    cluster.roll_out("newer")
    del cluster.policies["newer"]
    cluster.unreadable = frozenset({"newer"})
    planned = cluster.look()
    assert cluster.having("newer", revision) == ["n1", "n2"]
    assert list(planned.statuses) == ["shop"]
    assert planned.delete_revisions == ()
