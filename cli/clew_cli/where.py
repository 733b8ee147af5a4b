"""Which nodes are how far with a policy, and what they do not record of it: gathered from what their agents say. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from clew_crds.answers import Answer, answer, answering
from clew_crds.node import NodeTracing, PolicyReport, State

_ORDER = (Answer.READY, Answer.PENDING, Answer.SILENT, Answer.UNSUPPORTED, Answer.FAILED)


@dataclass(frozen=True, slots=True)
class Place:
    """Nodes that were told the same revision of a policy, and are equally far with it."""

    revision: str
    state: Answer
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nodes that cannot do the same thing for the same reason: the whole revision, where ``function`` is empty, or one function."""

    function: str
    state: str
    reason: str
    message: str
    nodes: tuple[str, ...]


def places(policy: str, newest: str | None, nodes: Iterable[NodeTracing]) -> tuple[Place, ...]:
    """The nodes that were told some revision of ``policy``: those with the ``newest`` first, healthy ones before others."""
    found: dict[tuple[str, Answer], list[str]] = defaultdict(list)
    for tracing in nodes:
        for assignment in tracing.spec.policies:
            if assignment.name == policy:
                found[assignment.revision, answer(answering(tracing).get(policy))].append(tracing.metadata.name)
    ordered = sorted(found, key=lambda key: (key[0] != newest, key[0], _ORDER.index(key[1])))
    return tuple(Place(revision, state, tuple(sorted(found[revision, state], key=_by_numbers))) for revision, state in ordered)


def refusals(policy: str, nodes: Iterable[NodeTracing]) -> tuple[Refusal, ...]:
    """What nodes cannot do of the revision that they were told: whole revisions first, then functions by name."""
    found: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for tracing in nodes:
        report = answering(tracing).get(policy)
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
