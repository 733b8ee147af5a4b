"""What a node's agent has answered to what the node was told. The operator decides by it, and the command shows it. Pure.

An answer counts only for the revision that it names, and no data is not health: a node is healthy when it says so, never before.
Names alone do not always tell: a node that is told X, Y and X again may show its old answer to X until its agent has looked. So when a
status is behind the node's spec though every report in it fits, its answers are taken for old ones. Otherwise it is another policy's
change that the agent has not seen yet, and this policy's answer stands.
"""

from __future__ import annotations

import enum

from clew_crds.node import NodeTracing, PolicyReport


class Answer(enum.StrEnum):
    """How far a node is with a policy that it was told: silence, or the state that its agent reports."""

    SILENT = "Silent"
    PENDING = "Pending"
    READY = "Ready"
    FAILED = "Failed"
    UNSUPPORTED = "Unsupported"


def is_behind(tracing: NodeTracing) -> bool:
    """Whether the agent has not seen the node's newest spec, whichever policy it was changed for."""
    return tracing.status.observed_generation < tracing.metadata.generation


def answering(tracing: NodeTracing) -> dict[str, PolicyReport]:
    """By policy, the reports that answer what the node is told now. Of a policy without one, the agent has said nothing yet."""
    told = {entry.name: entry.revision for entry in tracing.spec.policies}
    fitting = {report.name: report for report in tracing.status.policies if report.revision == told.get(report.name)}
    old = is_behind(tracing) and len(fitting) == len(told) == len(tracing.status.policies)
    return {} if old else fitting


def answer(report: PolicyReport | None) -> Answer:
    """What such a report says; None: there is none."""
    return Answer.SILENT if report is None else Answer(report.state.value)
