"""What policies and pods come to: slots, masks, settings."""

from clew_agent.enforcement import POLICY_SLOTS, SELF_TEST_SLOT, Intent, Numbers, intend, plan
from clew_agent.functions.request import Problem
from clew_agent.kernel_settings import settings_header
from clew_agent.model import Inventory, Pod
from clew_agent.spans.facts import SpanChoice
from clew_agent.spans.naming import NamingStyle
from clew_agent.standing import Standing, stand
from clew_crds import TracingPolicy


def policy(
    name: str, *namespaces: str, function: str = "tcp_connect", ratio: str = "1", spans: dict[str, object] | None = None
) -> TracingPolicy:
    return TracingPolicy.model_validate(
        {
            "apiVersion": "clew.dev/v1alpha1",
            "kind": "TracingPolicy",
            "metadata": {"name": name},
            "spec": {
                "namespaces": list(namespaces),
                "sampling": {"ratio": ratio},
                "kernelFunctions": [{"function": function}],
                "spans": spans or {},
            },
        }
    )


def pod(name: str, namespace: str, cgroup: str = "/kubepods/x") -> Pod:
    return Pod(name, namespace, f"uid-{name}", "node", cgroup)


POLICIES = [policy("b", "two", "both", function="vfs_read", ratio="0.25"), policy("a", "one", "both")]


def test_single_policies_come_before_pairs_in_order_of_name() -> None:
    assert intend(POLICIES, Intent()).slots == {("a",): 0, ("b",): 1, ("a", "b"): 2}


def test_slots_are_bounded() -> None:
    slots = intend([policy(f"p{number:02}", "one") for number in range(20)], Intent()).slots
    assert sorted(slots.values()) == list(range(POLICY_SLOTS))


def test_the_slots_beyond_are_as_the_programs_know_them() -> None:
    assert settings_header().defines["NO_POLICY"] == POLICY_SLOTS
    assert SELF_TEST_SLOT == POLICY_SLOTS + 1


def test_a_combination_keeps_its_slot_and_one_that_went_is_not_given_out_again_soon() -> None:
    first = intend(POLICIES, Intent())
    second = intend([policy("aa", "one"), *POLICIES], first)
    assert {names: second.slots[names] for names in first.slots} == first.slots
    assert second.slots[("aa",)] == 3
    third = intend([policy("c", "one"), policy("b", "two")], second)
    assert third.slots == {("b",): 1, ("c",): 7, ("b", "c"): 8}
    assert intend(POLICIES, third).slots == {("b",): 1, ("a",): 9, ("a", "b"): 10}


def test_the_circle_of_slots_closes() -> None:
    intent = Intent()
    seen: list[int] = []
    for number in range(POLICY_SLOTS + 2):
        intent = intend([policy(f"p{number}", "one")], intent)
        seen += intent.slots.values()
    assert seen == [*range(POLICY_SLOTS), 0, 1]


def test_a_function_is_recorded_for_every_combination_of_its_policy() -> None:
    intent = intend(POLICIES, Intent())
    assert [(function.name, function.policies) for function in intent.functions] == [("tcp_connect", 0b101), ("vfs_read", 0b110)]
    assert intent.problems == ()
    assert [intent.mask(name) for name in ("a", "b", "c")] == [0b101, 0b110, 0]


def test_pods_get_the_slot_of_their_policies_and_settings_of_the_first() -> None:
    pods = (pod("x", "two"), pod("y", "both"), pod("z", "three"), pod("elsewhere", "one", cgroup=""))
    found = plan(intend(POLICIES, Intent()), Inventory(pods), {}, Numbers().of)
    assert [(scope.pod.name, scope.slot, scope.policy, scope.names) for scope in found.scopes] == [
        ("x", 1, 1, ("b",)),
        ("y", 2, 2, ("a", "b")),
    ]
    assert {slot: settings.values["threshold"] for slot, settings in found.settings.items()} == {0: 1 << 32, 1: 1 << 30, 2: 1 << 32}


def test_what_is_chosen_for_spans_is_that_of_the_first_policy() -> None:
    spans: dict[str, object] = {"naming": "HTTP", "subject": "Pod", "queryString": True, "podLabels": ["app"]}
    policies = [policy("a", "one", "both"), policy("b", "two", "both", spans=spans)]
    found = plan(intend(policies, Intent()), Inventory(), {}, Numbers().of)
    chosen = SpanChoice(NamingStyle.HTTP, pod_names=True, query_string=True, pod_labels=("app",))
    assert {slot: settings.spans for slot, settings in found.settings.items()} == {0: SpanChoice(), 1: chosen, 2: SpanChoice()}


def test_how_the_agent_stands() -> None:
    missing = Problem("tcp_connect", "FunctionNotFound", "no tcp_connect", 0b101)
    intent = intend(POLICIES, Intent())
    enforcement = plan(intent, Inventory((pod("x", "two"), pod("y", "both"))), {}, Numbers().of)
    standing = stand(POLICIES, intent, enforcement, "", [missing], "why")
    assert standing == Standing(tuple(POLICIES), intent.policies, "", {"a": (missing,), "b": ()}, {"a": 1, "b": 2}, "why")


def test_a_pod_with_one_combination_too_many_is_a_problem_of_all_its_policies() -> None:
    policies = [policy(f"p{number:02}", "one") for number in range(20)]
    intent = intend(policies, Intent())
    enforcement = plan(intent, Inventory((pod("x", "one"),)), {}, Numbers().of)
    assert enforcement.scopes == ()
    standing = stand(policies, intent, enforcement, "", [], "")
    assert [problem.reason for problem in standing.problems["p19"]] == ["TooManyPolicies"]


def test_a_pod_keeps_its_number() -> None:
    numbers = Numbers()
    assert [numbers.of(pod(name, "one")) for name in ("x", "y", "x")] == [1, 2, 1]
