"""A node as an outline: its kernel and agent, each policy with its state there, what was lost, and what the agent costs. Pure."""

from __future__ import annotations

from clew_crds.node import Assignment, NodeTracing, State

from clew_cli.outline import Item
from clew_cli.status_tree import STATE_TONES
from clew_cli.terminal import Tone, one_line
from clew_cli.where import SILENT, report_of

UNKNOWN = "not known: the agent has not said"


def node_item(tracing: NodeTracing) -> Item:
    """The outline of one node."""
    status = tracing.status
    if not status.agent_version and not status.observed_generation:
        silent = "No status: no agent has spoken on this node. Does it run there?"
        return Item(tracing.metadata.name, silent, Tone.WARNING, tuple(_sections(tracing)[:1]))
    word, tone = _verdict(tracing)
    return Item(tracing.metadata.name, word, tone, tuple(_sections(tracing)))


def _sections(tracing: NodeTracing) -> list[Item]:
    status = tracing.status
    policies = tuple(_policy(tracing, assignment) for assignment in tracing.spec.policies)
    lost = tuple(Item(one.name, str(one.count), Tone.WARNING) for one in status.losses)
    overhead = status.overhead
    return [
        Item("policies", "" if policies else "none shall be enforced here", under=policies),
        Item("agent", status.agent_version or UNKNOWN),
        Item("kernel", status.kernel.release or UNKNOWN),
        Item("propagation", *_propagation(tracing)),
        Item("losses", "" if lost else "none", under=lost),
        Item("overhead", f"{overhead.cpu_millicores} millicores, {overhead.memory_mib} MiB"),
    ]


def _verdict(tracing: NodeTracing) -> tuple[str, Tone]:
    if tracing.status.observed_generation < tracing.metadata.generation:
        return "The agent has not taken up the newest assignment yet", Tone.WARNING
    states = [report.state if report else SILENT for report in (report_of(tracing, one.name) for one in tracing.spec.policies)]
    counted = [f"{states.count(state)} {state}" for state in (*State, SILENT) if state in states]
    worst = next((state for state in (State.FAILED, SILENT, State.UNSUPPORTED, State.PENDING) if state in states), State.READY)
    return f"Policies: {', '.join(counted)}" if states else "No policies", STATE_TONES[worst] if states else Tone.PLAIN


def _policy(tracing: NodeTracing, assignment: Assignment) -> Item:
    report = report_of(tracing, assignment.name)
    if report is None:
        return Item(assignment.name, f"{SILENT}: told {assignment.revision}, the agent has not said anything of it", STATE_TONES[SILENT])
    message = one_line(report.message)
    pods = f"{report.pods} pod{'' if report.pods == 1 else 's'}"
    text = f"{report.state} ({report.reason}) with {report.revision}, {pods}" + (f": {message}" if message else "")
    functions = tuple(
        Item(
            one.function,
            f"not recorded: {one.state} ({one.reason})" + (f": {one_line(one.message)}" if one.message else ""),
            STATE_TONES[one.state],
        )
        for one in report.functions
    )
    return Item(assignment.name, text, STATE_TONES[report.state], functions)


def _propagation(tracing: NodeTracing) -> tuple[str, Tone]:
    kernel = tracing.status.kernel
    message = one_line(kernel.message)
    if not kernel.propagation:
        return UNKNOWN, Tone.PLAIN
    tone = Tone.GOOD if kernel.propagation == "On" else Tone.WARNING
    return f"{kernel.propagation}: {message}" if message else kernel.propagation, tone
