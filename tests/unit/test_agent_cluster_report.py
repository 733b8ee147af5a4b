"""From how the agent stands to NodeTracing's status."""

from typing import Any

import pytest
from clew_agent.cluster.report import Costs, essence, limits_in_force, losses, node_status
from clew_agent.cluster.told import Revision, Told, Verdict, read_revision, read_tracing, to_enforce
from clew_agent.functions.request import Problem
from clew_agent.metrics import AGENT_METRICS
from clew_agent.standing import Standing
from clew_crds import TracingPolicy
from clew_crds.node import Assignment, FunctionReport, Kernel, Loss, NodeStatus, PolicyReport, State

FUNCTIONS = ("tcp_connect", "vfs_read")


def policy(name: str = "shop", functions: tuple[str, ...] = FUNCTIONS) -> TracingPolicy:
    return TracingPolicy.model_validate(
        {
            "apiVersion": "clew.dev/v1alpha1",
            "kind": "TracingPolicy",
            "metadata": {"name": name},
            "spec": {"namespaces": ["shop"], "kernelFunctions": [{"function": function} for function in functions]},
        }
    )


def revision(name: str = "shop-1", **enforced: Any) -> dict[str, Any]:
    return {
        "apiVersion": "clew.dev/v1alpha1",
        "kind": "TracingRevision",
        "metadata": {"name": name, "uid": "u"},
        "spec": {"policy": "shop", "policyUid": "p", "enforced": {"namespaces": ["shop"], **enforced}},
    }


def told(known: Revision | None, name: str = "shop-1") -> Told:
    return Told("u", 7, (Assignment(name="shop", uid="p", revision=name),), {} if known is None else {name: known})


def status(known: Revision | None, standing: Standing, unable: Verdict | None = None, costs: Costs | None = None) -> NodeStatus:
    return node_status(told(known), standing, unable, "6.1.0-50-amd64", "0.1.0", costs or Costs())


def report(known: Revision | None, standing: Standing, unable: Verdict | None = None) -> PolicyReport:
    (found,) = status(known, standing, unable).policies
    return found


def said(state: State, reason: str, message: str = "", **more: Any) -> PolicyReport:
    return PolicyReport(name="shop", revision="shop-1", state=state, reason=reason, message=message, **more)


def in_force(*problems: Problem, known: TracingPolicy | None = None, pods: int = 3) -> Standing:
    known = known or policy()
    return Standing((known,), (known,), "", {"shop": problems}, {"shop": pods})


NOT_FOUND = Problem("tcp_connect", "FunctionNotFound", "no tcp_connect", 1)
REFUSED = Problem("vfs_read", "KprobesRefused", "no kprobes here", 1)


def test_the_whole_status() -> None:
    standing = Standing((policy(),), (policy(),), "", {"shop": ()}, {"shop": 3}, "FIONREAD is wrong")
    costs = Costs(12, 64, {"kernel_ring_full": 2})
    assert status(policy(), standing, costs=costs).document() == {
        "observedGeneration": 7,
        "agentVersion": "0.1.0",
        "kernel": {"release": "6.1.0-50-amd64", "propagation": "Off", "message": "FIONREAD is wrong"},
        "policies": [
            {"name": "shop", "revision": "shop-1", "state": "Ready", "reason": "Enforced", "message": "", "pods": 3, "functions": []}
        ],
        "overhead": {"cpuMillicores": 12, "memoryMiB": 64},
        "losses": [{"name": "kernel_ring_full", "count": 2}],
    }


@pytest.mark.parametrize(
    ("known", "standing", "expected"),
    [
        (policy(), in_force(), said(State.READY, "Enforced", pods=3)),
        (policy(), Standing(), said(State.PENDING, "BuildingPrograms", "the programs are being built")),
        (None, Standing(), said(State.PENDING, "ReadingRevision", "the revision is being read")),
        (policy(), Standing((policy(),), (), "clang says no"), said(State.FAILED, "LoadFailed", "clang says no")),
        (
            Verdict(State.UNSUPPORTED, "RevisionNotUnderstood", "what is that"),
            Standing(),
            said(State.UNSUPPORTED, "RevisionNotUnderstood", "what is that"),
        ),
    ],
)
def test_states(known: Revision | None, standing: Standing, expected: PolicyReport) -> None:
    assert report(known, standing) == expected


def test_a_refusal_says_nothing_of_a_policy_that_is_in_force_all_the_same() -> None:
    other = policy("other")
    standing = Standing((other, policy()), (policy(),), "clang says no", {"shop": ()}, {"shop": 1})
    assert report(policy(), standing) == said(State.READY, "Enforced", pods=1)


def test_some_functions_are_not_recorded() -> None:
    missing = FunctionReport(function="tcp_connect", state=State.FAILED, reason="FunctionNotFound", message="no tcp_connect")
    message = "1 of 2 kernel functions is not recorded: no tcp_connect"
    assert report(policy(), in_force(NOT_FOUND)) == said(State.READY, "EnforcedInPart", message, pods=3, functions=(missing,))


@pytest.mark.parametrize(
    ("functions", "problems", "state", "reason"),
    [
        (("tcp_connect",), [NOT_FOUND], State.FAILED, "FunctionNotFound"),
        (("vfs_read",), [REFUSED], State.UNSUPPORTED, "KprobesRefused"),
        (FUNCTIONS, [REFUSED, NOT_FOUND], State.FAILED, "FunctionNotFound"),
    ],
)
def test_no_function_is_recorded(functions: tuple[str, ...], problems: list[Problem], state: State, reason: str) -> None:
    known = policy(functions=functions)
    found = report(known, in_force(*problems, known=known))
    assert (found.state, found.reason) == (state, reason)
    assert found.message.startswith("none of the kernel functions is recorded: no ")
    assert [one.function for one in found.functions] == [problem.function for problem in problems]


def test_pods_with_one_combination_too_many() -> None:
    left_out = Problem("", "TooManyPolicies", "one combination too many", 0)
    assert report(policy(), in_force(left_out, pods=0)) == said(State.UNSUPPORTED, "TooManyPolicies", "one combination too many")
    assert report(policy(), in_force(left_out)) == said(State.READY, "Enforced", pods=3)


def test_a_node_on_which_nothing_can_be_traced() -> None:
    unable = Verdict(State.UNSUPPORTED, "KernelUnsupported", "no BTF")
    found = status(policy(), Standing(), unable)
    assert found.policies == (said(State.UNSUPPORTED, "KernelUnsupported", "no BTF"),)
    assert found.kernel == Kernel(release="6.1.0-50-amd64", message="no BTF")


def test_a_policy_over_its_budget_has_failed_though_it_is_enforced() -> None:
    known = policy()
    found = node_status(told(known), in_force(known=known), None, "6.1", "0.1.0", Costs(), {"shop-1": "the agent takes 9"})
    assert found.policies == (said(State.FAILED, "OverheadExceeded", "the agent takes 9", pods=3),)


def test_budgets_are_those_of_what_is_in_force() -> None:
    limited = read_revision(revision(limits={"overhead": {"memoryMiB": 64}}))
    assert isinstance(limited, TracingPolicy)
    assert {name: one.memory_mib for name, one in limits_in_force(told(limited), in_force(known=limited)).items()} == {"shop-1": 64}
    assert limits_in_force(told(limited), Standing()) == {}
    assert limits_in_force(told(policy()), in_force()) == {}


def test_long_messages_are_cut() -> None:
    found = report(policy(), Standing((policy(),), (), "x" * 5000))
    assert (len(found.message), found.message[-2:]) == (1024, "x…")


def test_figures_are_not_the_essence() -> None:
    standing = in_force()
    assert essence(status(policy(), standing, costs=Costs(1, 2, {"a": 3}))) == essence(status(policy(), in_force(pods=9)))
    assert essence(status(policy(), standing)) != essence(status(policy(), in_force(NOT_FOUND)))


def test_losses_are_the_counters_that_are_not_zero() -> None:
    counted = {row: {"spans": 5, "records_undecoded": 2}.get(row.name, 0) for row in AGENT_METRICS}
    assert losses(counted) == {"records_undecoded": 2}
    many = Costs(losses={f"loss{number:02}": 1 for number in range(40)})
    assert status(policy(), in_force(), costs=many).losses[-1] == Loss(name="loss31", count=1)


def test_a_revision_is_a_policy() -> None:
    found = read_revision(revision(sampling={"ratio": "0.5"}))
    assert isinstance(found, TracingPolicy)
    assert (found.metadata.name, found.spec.sampling.ratio) == ("shop", "0.5")


@pytest.mark.parametrize(
    ("enforced", "message"),
    [
        ({"colour": "red"}, "spec.enforced.colour: unknown field"),
        ({"sampling": {"ratio": "2"}}, 'spec.enforced.sampling.ratio: "2" is not allowed: a decimal string from 0 to 1'),
    ],
)
def test_a_revision_that_this_agent_does_not_understand(enforced: dict[str, Any], message: str) -> None:
    found = read_revision(revision(**enforced))
    assert isinstance(found, Verdict)
    assert (found.state, found.reason) == (State.UNSUPPORTED, "RevisionNotUnderstood")
    assert found.message.startswith(f"this agent does not understand the revision: {message}")


def test_what_is_enforced_while_a_revision_cannot_be_read() -> None:
    before = policy(functions=())
    assert to_enforce(told(None), [before, policy("gone")]) == (before,)
    assert to_enforce(told(Verdict(State.FAILED, "RevisionNotFound", "")), [before]) == (before,)
    assert to_enforce(told(policy()), [before]) == (policy(),)
    assert to_enforce(Told(), [before]) == ()


def test_an_object_whose_status_a_newer_agent_wrote() -> None:
    item = {
        "apiVersion": "clew.dev/v1alpha1",
        "kind": "NodeTracing",
        "metadata": {"name": "n1", "uid": "u", "generation": 7, "resourceVersion": "9"},
        "spec": {"policies": [{"name": "shop", "uid": "p", "revision": "shop-1", "since": "later versions"}]},
        "status": {"policies": [{"state": "Dreaming"}]},
    }
    found = read_tracing(item)
    assert (found.metadata.generation, found.spec.policies) == (7, (Assignment(name="shop", uid="p", revision="shop-1"),))
