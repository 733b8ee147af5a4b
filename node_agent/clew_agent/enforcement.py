"""From policies and pods to what the kernel is to enforce: slots, settings and functions. Pure.

A pod may be selected by several policies. The functions of all of them are recorded in its requests; all other settings are
those of the policy whose name comes first, so that the outcome does not depend on the order in which policies were made. Each
combination of policies that some pod has is one policy slot of the programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from clew_crds import TracingPolicy, expand, selects
from clew_crds.functions import Attribution, KernelFunction
from clew_crds.policy import Layout, Naming, Propagator, Subject

from clew_agent.functions.request import ArgumentRequest, FunctionRequest, Problem
from clew_agent.model import Inventory, Pod

POLICY_SLOTS = 63
"""Slots for policies; the last of the kernel's 64 is the self-test's."""

SELF_TEST_SLOT = 63


@dataclass(frozen=True, slots=True)
class SlotSettings:
    """What one policy slot says: the values of ``struct policy``, and how its spans are named."""

    values: Mapping[str, int]
    naming: str
    query_string: bool
    pod_names: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """A selected pod, the number by which the programs know it, and its policy slot."""

    pod: Pod
    slot: int
    policy: int


@dataclass(frozen=True, slots=True)
class Enforcement:
    """All that the programs are told. ``problems`` are wishes that cannot be met, by policy name in their message."""

    scopes: tuple[Scope, ...] = ()
    settings: tuple[SlotSettings, ...] = ()
    functions: tuple[FunctionRequest, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Numbers:
    """Which pod has which number. A number is never used again: records of a pod that has gone still find their pod."""

    by_uid: dict[str, int] = field(default_factory=dict)

    def of(self, pod: Pod) -> int:
        """The pod's number, a new one at first."""
        return self.by_uid.setdefault(pod.uid, len(self.by_uid) + 1)


def plan(
    policies: Sequence[TracingPolicy],
    inventory: Inventory,
    namespaces: Mapping[str, Mapping[str, str]],
    number: Callable[[Pod], int],
) -> Enforcement:
    """Decide what to enforce on this node's pods. ``namespaces`` are the labels of the namespaces."""
    ordered = sorted(policies, key=lambda policy: policy.metadata.name)
    chosen: dict[tuple[str, ...], int] = {}
    groups: list[list[TracingPolicy]] = []
    scopes: list[Scope] = []
    problems: list[Problem] = []
    for pod in inventory.pods:
        mine = [
            policy for policy in ordered if pod.cgroup and selects(policy, pod.namespace, pod.labels, namespaces.get(pod.namespace, {}))
        ]
        if not mine:
            continue
        names = tuple(policy.metadata.name for policy in mine)
        if names not in chosen and len(groups) == POLICY_SLOTS:
            problems.append(Problem("", "TooManyPolicies", f"pod {pod.namespace}/{pod.name}: more than {POLICY_SLOTS} combinations", 0))
            continue
        if names not in chosen:
            chosen[names] = len(groups)
            groups.append(mine)
        scopes.append(Scope(pod, number(pod), chosen[names]))
    functions: list[FunctionRequest] = []
    for policy in ordered:
        mask = sum(1 << slot for slot, group in enumerate(groups) if policy in group)
        for wish in expand(policy.spec.kernel_functions):
            problem = _unsupported(policy, wish, mask)
            if problem:
                problems.append(problem)
            elif mask:
                functions.append(_request(wish, mask))
    return Enforcement(tuple(scopes), tuple(_settings(group[0]) for group in groups), tuple(functions), tuple(problems))


def function_requests(policies: Sequence[TracingPolicy]) -> tuple[tuple[FunctionRequest, ...], tuple[Problem, ...]]:
    """What the policies ask for whatever pods there are: to check it before anything is attached."""
    problems: list[Problem] = []
    functions: list[FunctionRequest] = []
    for policy in policies:
        for wish in expand(policy.spec.kernel_functions):
            problem = _unsupported(policy, wish, 0)
            if problem:
                problems.append(problem)
            else:
                functions.append(_request(wish, 0))
    return tuple(functions), tuple(problems)


def _unsupported(policy: TracingPolicy, wish: KernelFunction, mask: int) -> Problem | None:
    where = f"policy {policy.metadata.name}: {wish.function}"
    if wish.attribution is Attribution.SOCKET:
        return Problem(wish.function or "", "Unsupported", f"{where}: attribution Socket is not supported yet; leave it out", mask)
    for argument in wish.arguments:
        if argument.field is not None:
            return Problem(
                wish.function or "",
                "Unsupported",
                f"{where}: field {argument.field} of {argument.output}: fields are not supported yet",
                mask,
            )
    return None


def _request(wish: KernelFunction, mask: int) -> FunctionRequest:
    arguments = tuple(
        ArgumentRequest(name=item.name, index=item.index, as_name=item.output, type=item.type.value if item.type else None)
        for item in wish.arguments
    )
    return FunctionRequest(wish.function or "", arguments, wish.returns, wish.minimum_duration_ns, mask)


def _settings(policy: TracingPolicy) -> SlotSettings:
    spec = policy.spec
    values = {
        "threshold": int(spec.sampling.share * (1 << 32)),
        "max_per_second": spec.sampling.max_per_second or 0,
        "spans_per_request": spec.limits.spans_per_request or 0,
        "events_per_second": spec.limits.events_per_second or 0,
        "parent_based": int(spec.sampling.parent_based),
        "inject": int(Propagator.TRACECONTEXT in spec.propagation.inject),
        "extract": int(Propagator.TRACECONTEXT in spec.propagation.extract),
        "random_ids": int(spec.identifiers.layout is Layout.RANDOM),
    }
    naming = "Flow" if spec.spans.naming is Naming.FLOW else "HTTP"
    return SlotSettings(values, naming, spec.spans.query_string, spec.spans.subject is Subject.POD)
