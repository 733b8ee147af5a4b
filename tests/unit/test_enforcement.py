"""What policies and pods come to: slots, masks, settings."""

from clew_agent.enforcement import POLICY_SLOTS, Numbers, function_requests, plan, policy_slots
from clew_agent.model import Inventory, Pod
from clew_crds import TracingPolicy


def policy(name: str, *namespaces: str, function: str = "tcp_connect", ratio: str = "1") -> TracingPolicy:
    return TracingPolicy.model_validate(
        {
            "apiVersion": "clew.dev/v1alpha1",
            "kind": "TracingPolicy",
            "metadata": {"name": name},
            "spec": {"namespaces": list(namespaces), "sampling": {"ratio": ratio}, "kernelFunctions": [{"function": function}]},
        }
    )


def pod(name: str, namespace: str, cgroup: str = "/kubepods/x") -> Pod:
    return Pod(name, namespace, f"uid-{name}", "node", cgroup)


POLICIES = [policy("b", "two", "both", function="vfs_read", ratio="0.25"), policy("a", "one", "both")]


def test_single_policies_come_before_pairs_in_order_of_name() -> None:
    assert policy_slots(POLICIES) == {("a",): 0, ("b",): 1, ("a", "b"): 2}


def test_slots_are_bounded() -> None:
    slots = policy_slots([policy(f"p{number:02}", "one") for number in range(20)])
    assert sorted(slots.values()) == list(range(POLICY_SLOTS))


def test_a_function_is_recorded_for_every_combination_of_its_policy() -> None:
    functions, problems = function_requests(POLICIES)
    assert [(function.name, function.policies) for function in functions] == [("tcp_connect", 0b101), ("vfs_read", 0b110)]
    assert problems == ()


def test_pods_get_the_slot_of_their_policies_and_settings_of_the_first() -> None:
    pods = (pod("x", "two"), pod("y", "both"), pod("z", "three"), pod("elsewhere", "one", cgroup=""))
    found = plan(POLICIES, Inventory(pods), {}, Numbers().of)
    assert [(scope.pod.name, scope.slot, scope.policy) for scope in found.scopes] == [("x", 1, 1), ("y", 2, 2)]
    assert [slot.values["threshold"] for slot in found.settings] == [1 << 32, 1 << 30, 1 << 32]


def test_a_pod_keeps_its_number() -> None:
    numbers = Numbers()
    assert [numbers.of(pod(name, "one")) for name in ("x", "y", "x")] == [1, 2, 1]
