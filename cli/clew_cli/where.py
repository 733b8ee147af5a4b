"""Which nodes are how far with a policy, and what they do not record of it: gathered from what their agents say. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from clew_crds.node import NodeTracing, PolicyReport, State

SILENT = "Silent"
"""Of a node: told the policy's revision, and has not said anything of it."""

_ORDER = (State.READY, State.PENDING, SILENT, State.UNSUPPORTED, State.FAILED)


@dataclass(frozen=True, slots=True)
class Place:
    """Nodes that were told the same revision of a policy, and are equally far with it."""

    revision: str
    state: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nodes that cannot do the same thing for the same reason: the whole revision, where ``function`` is empty, or one function."""

    function: str
    state: str
    reason: str
    message: str
    nodes: tuple[str, ...]


def report_of(tracing: NodeTracing, policy: str) -> PolicyReport | None:
    """What the node's agent says of the revision that the node was told, or nothing."""
    told = {assignment.name: assignment.revision for assignment in tracing.spec.policies}
    return next((one for one in tracing.status.policies if one.name == policy and one.revision == told.get(policy)), None)


def places(policy: str, newest: str | None, nodes: Iterable[NodeTracing]) -> tuple[Place, ...]:
    """The nodes that were told some revision of ``policy``: those with the ``newest`` first, healthy ones before others."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for tracing in nodes:
        for assignment in tracing.spec.policies:
            if assignment.name == policy:
                report = report_of(tracing, policy)
                found[assignment.revision, report.state if report else SILENT].append(tracing.metadata.name)
    ordered = sorted(found, key=lambda key: (key[0] != newest, key[0], _ORDER.index(key[1])))
    return tuple(Place(revision, str(state), tuple(sorted(found[revision, state], key=_by_numbers))) for revision, state in ordered)


def refusals(policy: str, nodes: Iterable[NodeTracing]) -> tuple[Refusal, ...]:
    """What nodes cannot do of the revision that they were told: whole revisions first, then functions by name."""
    found: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for tracing in nodes:
        report = report_of(tracing, policy)
        if report is not None:
            for key in _refused(report):
                found[key].append(tracing.metadata.name)
    return tuple(Refusal(*key, tuple(sorted(found[key], key=_by_numbers))) for key in sorted(found))


def _refused(report: PolicyReport) -> Iterator[tuple[str, str, str, str]]:
    if report.state in (State.FAILED, State.UNSUPPORTED):
        yield "", report.state.value, report.reason, report.message
    for function in report.functions:
        yield function.function, function.state.value, function.reason, function.message


def _by_numbers(name: str) -> list[str | int]:
    """For sorting: ``node-2`` before ``node-10``."""
    return [int(part) if number % 2 else part for number, part in enumerate(re.split("([0-9]+)", name))]
