"""How far the agent is with what it was told: what a status, or a log, is made from. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clew_crds import TracingPolicy

from clew_agent.enforcement import Enforcement, Intent
from clew_agent.functions.request import Problem
from clew_agent.metrics import Metric


@dataclass(frozen=True, slots=True)
class Standing:
    """``wanted`` are the policies that the agent was told last, ``in_force`` those that it enforces.

    They differ while programs are being built, and for good where that failed: then ``refusal`` says why. ``problems`` has, for each
    policy in force, the functions that are not recorded as asked (and, without a function, pods that are not traced); ``pods`` how
    many of this node's pods each selects. ``propagation`` says why propagation is off, and is empty where it is on.
    """

    wanted: tuple[TracingPolicy, ...] = ()
    in_force: tuple[TracingPolicy, ...] = ()
    refusal: str = ""
    problems: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    pods: Mapping[str, int] = field(default_factory=dict)
    propagation: str = ""


class PolicySource(Protocol):
    """Where policies come from: files in standalone mode, the revisions that the operator has chosen in a cluster."""

    def policies(self) -> tuple[TracingPolicy, ...]:
        """The policies to enforce; the same object until they change. Never blocks."""
        ...


class Reporter(Protocol):
    """Who hears how far the agent is."""

    def tell(self, standing: Standing) -> None:
        """Take note. Called by the agent's own thread whenever something has changed; must not block."""
        ...

    def tell_unable(self, error: Exception) -> None:
        """The agent cannot trace anything on this node. Raises ``error`` where there is nobody to tell that."""
        ...

    def begin(self, count: Callable[[], Mapping[Metric, int]]) -> None:
        """The agent works; ``count`` tells its metrics, until :meth:`end`."""
        ...

    def end(self) -> None:
        """The agent works no more."""
        ...


def stand(
    wanted: Sequence[TracingPolicy], intent: Intent, enforcement: Enforcement, refusal: str, problems: Sequence[Problem], propagation: str
) -> Standing:
    """Put together what the agent's parts know. ``problems`` are those of the functions that ``intent`` asks for."""
    names = [policy.metadata.name for policy in intent.policies]
    masks = {name: intent.mask(name) for name in names}
    found = {name: tuple(problem for problem in problems if problem.policies == masks[name]) for name in names}
    for name in names:
        found[name] += tuple(problem for problem, concerned in enforcement.problems if name in concerned)
    pods = {name: sum(name in scope.names for scope in enforcement.scopes) for name in names}
    return Standing(tuple(wanted), intent.policies, refusal, found, pods, propagation)
