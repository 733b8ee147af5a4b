"""The order of nodes."""

from random import Random

from clew_operator.planning.order import ordered
from clew_operator.planning.world import NodeFacts
from hypothesis import given
from hypothesis import strategies as st

FACTS = st.builds(
    lambda names, zones, kernels: [
        NodeFacts(name, name, True, zone, kernel) for name, zone, kernel in zip(sorted(names), zones, kernels, strict=False)
    ],
    st.sets(st.text("abcdef", min_size=1, max_size=4), max_size=20),
    st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=20, max_size=20),
    st.lists(st.sampled_from(["", "6.1", "6.12"]), min_size=20, max_size=20),
)


def nodes(*places: tuple[str, str]) -> list[NodeFacts]:
    return [NodeFacts(f"n{number}", "", True, zone, kernel) for number, (zone, kernel) in enumerate(places)]


def test_nodes_that_run_selected_pods_come_first() -> None:
    facts = nodes(*[("a", "6.1")] * 6)
    assert set(ordered(facts, frozenset({"n1", "n4"}), "shop")[:2]) == {"n1", "n4"}


def test_the_first_few_nodes_have_every_zone_and_every_kernel_version() -> None:
    facts = nodes(*[(zone, kernel) for zone in "abc" for kernel in ("6.1", "6.12") for _ in range(5)])
    by_name = {node.name: node for node in facts}
    first = [by_name[name] for name in ordered(facts, frozenset(), "shop")[:6]]
    assert [node.zone for node in first] == ["a", "b", "c", "a", "b", "c"]
    assert {(node.zone, node.kernel) for node in first} == {(zone, kernel) for zone in "abc" for kernel in ("6.1", "6.12")}
    assert [node.kernel for node in first[:2]] == ["6.1", "6.12"]


def test_policies_do_not_all_begin_on_one_node() -> None:
    facts = nodes(*[("a", "6.1")] * 50)
    assert len({ordered(facts, frozenset(), f"policy-{number}")[0] for number in range(20)}) > 10


@given(FACTS, st.randoms(use_true_random=False))
def test_every_node_once_whatever_order_they_are_listed_in(facts: list[NodeFacts], dice: Random) -> None:
    busy = frozenset(node.name for node in facts[::3])
    order = ordered(facts, busy, "shop")
    assert sorted(order) == sorted(node.name for node in facts)
    assert set(order[: len(busy)]) == busy
    dice.shuffle(facts)
    assert ordered(facts, busy, "shop") == order
