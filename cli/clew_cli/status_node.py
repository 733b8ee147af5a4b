"""A node as an outline: its kernel and agent, each policy with its state there, what was lost, and what the agent costs. Pure."""

from __future__ import annotations

from clew_crds.answers import Answer, answer, answering, is_behind
from clew_crds.node import Assignment, NodeTracing, PolicyReport

from clew_cli.outline import Item
from clew_cli.status_tree import STATE_TONES
from clew_cli.terminal import Tone, one_line

UNKNOWN = "not known: the agent has not said"
_COUNTED = (Answer.PENDING, Answer.READY, Answer.FAILED, Answer.UNSUPPORTED, Answer.SILENT)
_WORST = (Answer.FAILED, Answer.SILENT, Answer.UNSUPPORTED, Answer.PENDING)


def node_item(tracing: NodeTracing) -> Item:
    """The outline of one node."""
    status = tracing.status
    if not status.agent_version and not status.observed_generation:
        silent = "No status: no agent has spoken on this node. Does it run there?"
        return Item(tracing.metadata.name, silent, Tone.WARNING, tuple(_sections(tracing)[:1]))
    word, tone = _verdict(tracing)
    return Item(tracing.metadata.name, word, tone, tuple(_sections(tracing)))


def _sections(tracing: NodeTracing) -> list[Item]:
    status, answers = tracing.status, answering(tracing)
    policies = tuple(_policy(assignment, answers.get(assignment.name)) for assignment in tracing.spec.policies)
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
    if is_behind(tracing):
        return "The agent has not taken up the newest assignment yet", Tone.WARNING
    answers = answering(tracing)
    states = [answer(answers.get(one.name)) for one in tracing.spec.policies]
    counted = [f"{states.count(state)} {state}" for state in _COUNTED if state in states]
    worst = next((state for state in _WORST if state in states), Answer.READY)
    return f"Policies: {', '.join(counted)}" if states else "No policies", STATE_TONES[worst] if states else Tone.PLAIN


def _policy(assignment: Assignment, report: PolicyReport | None) -> Item:
    if report is None:
        silent = f"{Answer.SILENT}: told {assignment.revision}, the agent has not said anything of it"
        return Item(assignment.name, silent, STATE_TONES[Answer.SILENT])
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
