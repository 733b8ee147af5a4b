"""From policies and pods to what the kernel is to enforce: slots, settings and functions. Pure.

A pod may be selected by several policies. The functions of all of them are recorded in its requests; all other settings are
those of the policy whose name comes first, so that the outcome does not depend on the order in which policies were made. Each
combination of policies that a pod may have is one policy slot of the programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, islice

from clew_crds import TracingPolicy, expand, selects
from clew_crds.functions import Attribution, KernelFunction
from clew_crds.policy import Layout, Propagator, Subject

from clew_agent.functions.request import ArgumentRequest, FunctionRequest, Problem
from clew_agent.model import Inventory, Pod
from clew_agent.spans.facts import SpanChoice
from clew_agent.spans.naming import NamingStyle

POLICY_SLOTS = 62
"""Slots for policies. Of the kernel's 64, one is for pods that are traced no longer (``NO_POLICY``), the last for the self-test."""

SELF_TEST_SLOT = 63

Slots = Mapping[tuple[str, ...], int]
"""The slot of each combination of policies that a pod may have, by their names."""


@dataclass(frozen=True, slots=True)
class SlotSettings:
    """What one policy slot says: the values of ``struct policy``, and what is chosen for its pods' spans."""

    values: Mapping[str, int]
    spans: SpanChoice


@dataclass(frozen=True, slots=True)
class Scope:
    """A selected pod, the number by which the programs know it, its policy slot, and the names of the policies."""

    pod: Pod
    slot: int
    policy: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Intent:
    """What policies come to before any pod is looked at. ``problems`` are functions that this agent cannot record.

    ``last_slot`` was given out last, in this intent or one before it.
    """

    policies: tuple[TracingPolicy, ...] = ()
    slots: Slots = field(default_factory=dict)
    last_slot: int = -1
    functions: tuple[FunctionRequest, ...] = ()
    problems: tuple[Problem, ...] = ()

    def mask(self, policy: str) -> int:
        """A bit for each slot that a policy has a part in; 0 where it has none."""
        return sum(1 << slot for names, slot in self.slots.items() if policy in names)


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What the programs are told of pods; ``settings`` by slot. ``problems`` are pods that cannot be traced as wished, each
    with the names of the policies that select it."""

    scopes: tuple[Scope, ...] = ()
    settings: Mapping[int, SlotSettings] = field(default_factory=dict)
    problems: tuple[tuple[Problem, tuple[str, ...]], ...] = ()


@dataclass(slots=True)
class Numbers:
    """Which pod has which number. A number is never used again: records of a pod that has gone still find their pod."""

    by_uid: dict[str, int] = field(default_factory=dict)

    def of(self, pod: Pod) -> int:
        """The pod's number, a new one at first."""
        return self.by_uid.setdefault(pod.uid, len(self.by_uid) + 1)


def intend(policies: Sequence[TracingPolicy], before: Intent) -> Intent:
    """Decide on slots and functions. ``before`` is what has been enforced until now: a combination of policies keeps its slot."""
    ordered = tuple(sorted(policies, key=lambda policy: policy.metadata.name))
    slots = policy_slots([policy.metadata.name for policy in ordered], before.slots, before.last_slot)
    given = [slot for names, slot in slots.items() if names not in before.slots]
    intent = Intent(ordered, slots, given[-1] if given else before.last_slot)
    functions: list[FunctionRequest] = []
    problems: list[Problem] = []
    for policy in ordered:
        mask = intent.mask(policy.metadata.name)
        for wish in expand(policy.spec.kernel_functions):
            problem = _unsupported(policy, wish, mask)
            if problem:
                problems.append(problem)
            else:
                functions.append(_request(wish, mask))
    return replace(intent, functions=tuple(functions), problems=tuple(problems))


def policy_slots(names: Sequence[str], before: Slots, last: int) -> Slots:
    """The slot of each combination of policies that a pod may have: single ones first, then pairs, and so on.

    Which pods there are does not matter, so the programs can be generated before any pod is known. Combinations beyond
    ``POLICY_SLOTS`` have no slot. Slots are given out in a circle that goes on behind ``last``, so that one is free for long before
    another combination gets it: requests that are open may still refer to it.
    """
    sizes = (combinations(names, size) for size in range(1, len(names) + 1))
    wanted = list(islice(chain.from_iterable(sizes), POLICY_SLOTS))
    kept = {combination: before[combination] for combination in wanted if combination in before}
    taken = set(kept.values())
    circle = [(last + 1 + step) % POLICY_SLOTS for step in range(POLICY_SLOTS)]
    free = iter([slot for slot in circle if slot not in taken])
    return {combination: kept[combination] if combination in kept else next(free) for combination in wanted}


def plan(
    intent: Intent,
    inventory: Inventory,
    namespaces: Mapping[str, Mapping[str, str]],
    number: Callable[[Pod], int],
) -> Enforcement:
    """Decide what to enforce on this node's pods. ``namespaces`` are the labels of the namespaces."""
    scopes: list[Scope] = []
    problems: list[tuple[Problem, tuple[str, ...]]] = []
    for pod in inventory.pods:
        labels = namespaces.get(pod.namespace, {})
        names = tuple(
            policy.metadata.name for policy in intent.policies if pod.cgroup and selects(policy, pod.namespace, pod.labels, labels)
        )
        if not names:
            continue
        if names in intent.slots:
            scopes.append(Scope(pod, number(pod), intent.slots[names], names))
        else:
            message = f"pod {pod.namespace}/{pod.name} is not traced: policies {', '.join(names)} together are one combination too many"
            problems.append((Problem("", "TooManyPolicies", message, 0), names))
    first = {policy.metadata.name: _settings(policy) for policy in intent.policies}
    return Enforcement(tuple(scopes), {slot: first[names[0]] for names, slot in intent.slots.items()}, tuple(problems))


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
    chosen = spec.spans
    spans = SpanChoice(NamingStyle(chosen.naming.value), chosen.subject is Subject.POD, chosen.query_string, chosen.pod_labels)
    return SlotSettings(values, spans)
