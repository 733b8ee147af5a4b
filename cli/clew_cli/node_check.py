"""A policy against one node: what is known of it there, from what the node's agent has said of other policies. Pure.

An agent speaks of functions only when a policy asks for them. So three answers are possible: recorded there now, not recordable
as it was asked, and not known until a policy that asks for the function reaches the node.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clew_crds import TracingPolicy, expand
from clew_crds.answers import answering
from clew_crds.node import FunctionReport, NodeTracing, State
from clew_crds.revision import TracingRevision

from clew_cli.terminal import one_line


class Answer(enum.StrEnum):
    """What can be said of a wish."""

    FACT = ""
    YES = "yes"
    NO = "no"
    NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: what it is about, and why."""

    subject: str
    answer: Answer
    why: str


def check_on_node(policy: TracingPolicy, tracing: NodeTracing, revisions: Mapping[str, TracingRevision]) -> tuple[Finding, ...]:
    """What is known of ``policy`` on the node. ``revisions`` are those that the node was told, by name."""
    return (*_kernel(tracing), *_propagation(policy, tracing), *_functions(policy, tracing, revisions))


def _kernel(tracing: NodeTracing) -> Iterator[Finding]:
    status = tracing.status
    if not status.agent_version and not status.kernel.release:
        yield Finding("kernel", Answer.NOT_KNOWN, "no agent has spoken on this node yet")
    else:
        yield Finding(
            "kernel", Answer.FACT, f"{status.kernel.release or 'of unknown release'}, agent {status.agent_version or 'of unknown version'}"
        )


def _propagation(policy: TracingPolicy, tracing: NodeTracing) -> Iterator[Finding]:
    if not policy.spec.propagation.inject:
        return
    kernel = tracing.status.kernel
    if not kernel.propagation:
        yield Finding("propagation", Answer.NOT_KNOWN, "the agent has not said whether it is on")
    elif kernel.propagation == "On":
        yield Finding("propagation", Answer.YES, "on")
    else:
        why = f"off, so no headers are written there: {one_line(kernel.message) or 'the agent does not say why'}"
        yield Finding("propagation", Answer.NO, why)


def _functions(policy: TracingPolicy, tracing: NodeTracing, revisions: Mapping[str, TracingRevision]) -> Iterator[Finding]:
    refused, recorded = _refused(tracing), _recorded(tracing, revisions)
    for wish in expand(policy.spec.kernel_functions):
        name = wish.function or ""
        if name in refused:
            by, report = refused[name]
            why = f"{report.state} as {by} asks for it: {report.reason}"
            yield Finding(name, Answer.NO, f"{why}: {one_line(report.message)}" if report.message else why)
        elif name in recorded:
            yield Finding(name, Answer.YES, f"recorded there now for {recorded[name]}")
        else:
            yield Finding(name, Answer.NOT_KNOWN, "no policy has asked for it there; the agent says when one does")


def _refused(tracing: NodeTracing) -> dict[str, tuple[str, FunctionReport]]:
    """Functions that the agent could not record, each with the first policy that asked for it."""
    found: dict[str, tuple[str, FunctionReport]] = {}
    for report in tracing.status.policies:
        for function in report.functions:
            found.setdefault(function.function, (report.name, function))
    return found


def _recorded(tracing: NodeTracing, revisions: Mapping[str, TracingRevision]) -> dict[str, str]:
    """Functions that the agent records, each with the first policy that asked for it."""
    found: dict[str, str] = {}
    answers = answering(tracing)
    for assignment in tracing.spec.policies:
        report, revision = answers.get(assignment.name), revisions.get(assignment.revision)
        if report is not None and revision is not None and report.state is State.READY:
            unrecorded = {one.function for one in report.functions}
            for wish in expand(revision.spec.enforced.kernel_functions):
                if wish.function is not None and wish.function not in unrecorded:
                    found.setdefault(wish.function, assignment.name)
    return found
