"""From policies and pods to what the kernel is to enforce: slots, settings and functions. Pure.

A pod may be selected by several policies. The functions of all of them are recorded in its requests; all other settings are
those of the policy whose name comes first, so that the outcome does not depend on the order in which policies were made. Each
combination of policies that a pod may have is one policy slot of the programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations, islice

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
    """What the programs are told of pods. ``problems`` are pods that cannot be traced as wished."""

    scopes: tuple[Scope, ...] = ()
    settings: tuple[SlotSettings, ...] = ()
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
    ordered = _ordered(policies)
    chosen = policy_slots(ordered)
    scopes: list[Scope] = []
    problems: list[Problem] = []
    for pod in inventory.pods:
        labels = namespaces.get(pod.namespace, {})
        names = tuple(policy.metadata.name for policy in ordered if pod.cgroup and selects(policy, pod.namespace, pod.labels, labels))
        if not names:
            continue
        if names in chosen:
            scopes.append(Scope(pod, number(pod), chosen[names]))
        else:
            message = f"pod {pod.namespace}/{pod.name} is not traced: policies {', '.join(names)} together are one combination too many"
            problems.append(Problem("", "TooManyPolicies", message, 0))
    first = {policy.metadata.name: _settings(policy) for policy in ordered}
    return Enforcement(tuple(scopes), tuple(first[names[0]] for names in chosen), tuple(problems))


def policy_slots(policies: Sequence[TracingPolicy]) -> dict[tuple[str, ...], int]:
    """The slot of each combination of policies that a pod may have, by their names: single ones first, then pairs, and so on.

    Which pods there are does not matter, so the programs can be generated before any pod is known. Combinations beyond
    ``POLICY_SLOTS`` have no slot.
    """
    names = [policy.metadata.name for policy in _ordered(policies)]
    sizes = (combinations(names, size) for size in range(1, len(names) + 1))
    return {combination: slot for slot, combination in enumerate(islice(chain.from_iterable(sizes), POLICY_SLOTS))}


def function_requests(policies: Sequence[TracingPolicy]) -> tuple[tuple[FunctionRequest, ...], tuple[Problem, ...]]:
    """The functions that the policies ask for, each with the slots of the combinations that its policy is in."""
    slots = policy_slots(policies)
    problems: list[Problem] = []
    functions: list[FunctionRequest] = []
    for policy in _ordered(policies):
        mask = sum(1 << slot for names, slot in slots.items() if policy.metadata.name in names)
        for wish in expand(policy.spec.kernel_functions):
            problem = _unsupported(policy, wish, mask)
            if problem:
                problems.append(problem)
            else:
                functions.append(_request(wish, mask))
    return tuple(functions), tuple(problems)


def _ordered(policies: Sequence[TracingPolicy]) -> list[TracingPolicy]:
    return sorted(policies, key=lambda policy: policy.metadata.name)


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
