"""A policy as an outline: how far it is, step by step; which nodes are in which state; what failed, is not recorded, or overlaps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clew_crds.answers import Answer
from clew_crds.node import NodeTracing

from clew_cli.outline import Item
from clew_cli.seen import SeenPolicy
from clew_cli.steps import Progress, Step, condition, given_up, rolled_out, steps
from clew_cli.terminal import Tone, one_line
from clew_cli.where import Place, Refusal, places, refusals

BAR = 24
"""Columns of a step's bar, without its brackets."""

_NAMES_SHOWN = 6
_REFUSALS_SHOWN = 20

STATE_TONES: dict[str, Tone] = {
    Answer.READY: Tone.GOOD,
    Answer.PENDING: Tone.BUSY,
    Answer.FAILED: Tone.BAD,
    Answer.UNSUPPORTED: Tone.WARNING,
    Answer.SILENT: Tone.WARNING,
}
_STEP_TONES = {
    Progress.WAITING: Tone.PLAIN,
    Progress.UNDER_WAY: Tone.BUSY,
    Progress.SOAKING: Tone.BUSY,
    Progress.PROMOTED: Tone.BUSY,
    Progress.PAUSED: Tone.WARNING,
    Progress.FAILED: Tone.BAD,
    Progress.ABORTED: Tone.BAD,
    Progress.DONE: Tone.GOOD,
}


def policy_item(policy: SeenPolicy, nodes: Iterable[NodeTracing]) -> Item:
    """The outline of one policy; ``nodes`` are all of the cluster's."""
    name, status = policy.metadata.name, policy.status
    tracings = list(nodes)
    refused = refusals(name, tracings)
    word, tone = verdict(policy)
    sections = (
        *_sentences(policy),
        Item("steps", under=tuple(_step(step) for step in steps(policy))),
        Item("nodes", _counts(policy), under=tuple(_place(place, status.revision) for place in places(name, status.revision, tracings))),
        Item("failures", under=tuple(Item(one.node, _why(one.reason, one.message), Tone.BAD) for one in status.failures)),
        Item("not enforced", under=tuple(_refusals([one for one in refused if not one.function]))),
        Item("not recorded", under=tuple(_refusals([one for one in refused if one.function]))),
        Item("overlaps", under=tuple(Item(one.policy, _overlap(name, one.policy, one.rules)) for one in status.overlaps)),
    )
    return Item(name, word, tone, tuple(one for one in sections if one.text or one.under))


def verdict(policy: SeenPolicy) -> tuple[str, Tone]:
    """How the policy is, in a few words."""
    word, tone = _verdict(policy)
    if 0 < policy.status.observed_generation < policy.metadata.generation:
        return f"{word}; the operator has not taken up the newest edit yet", Tone.WARNING
    return word, tone


def _verdict(policy: SeenPolicy) -> tuple[str, Tone]:
    if policy.metadata.deletion_timestamp is not None:
        return "Being deleted", Tone.WARNING
    if not policy.status.conditions:
        return "No status: the operator has not seen it yet. Does it run?", Tone.WARNING
    stalled = condition(policy, "Stalled")
    if stalled is not None:
        return f"Stalled: {stalled.reason}", Tone.BAD
    if policy.spec.rollout.paused and not rolled_out(policy):
        return "Paused by spec.rollout.paused", Tone.WARNING
    if condition(policy, "Reconciling") is not None:
        return "Rolling out", Tone.BUSY
    if condition(policy, "Ready") is not None:
        return "Ready", Tone.GOOD
    reason = next((one.reason for one in policy.status.conditions if one.type == "Ready"), "")
    return f"Not ready: {reason}" if reason else "Not ready", Tone.WARNING


def _sentences(policy: SeenPolicy) -> Iterator[Item]:
    status = policy.status
    stalled = condition(policy, "Stalled")
    message = status.message or (stalled.message if stalled else "")
    yield Item("why", one_line(message))
    if status.revision is not None:
        stable = "" if rolled_out(policy) else f"; stable is {status.stable_revision}" if status.stable_revision else "; none is stable yet"
        given = "" if not given_up(policy) else " was aborted" if status.rollout.aborted else " failed"
        yield Item("revision", f"{status.revision}{given}{stable}")


def _step(step: Step) -> Item:
    filled = BAR * step.healthy // step.target if step.target else 0
    bar = "#" * filled + "." * (BAR - filled)
    soak = "" if step.soak == "0s" else f", soak {step.soak}"
    text = f"[{bar}] {step.healthy} of {_nodes(step.target)} ({step.nodes}{soak})  {_progress(step)}"
    return Item(str(step.number), text, _STEP_TONES[step.progress])


def _progress(step: Step) -> str:
    if step.progress is Progress.SOAKING:
        return f"soaks until {step.until}" if step.until else "soaks"
    if step.progress in (Progress.UNDER_WAY, Progress.PROMOTED):
        how = "under way" if step.progress is Progress.UNDER_WAY else "under way, promoted: it does not soak"
        return f"{how}; fails at {step.until} if no node answers" if step.until else how
    return step.progress.lower()


def _counts(policy: SeenPolicy) -> str:
    counts = policy.status.nodes
    parts = {
        "updated": counts.updated,
        "ready": counts.ready,
        "failed": counts.failed,
        "unsupported": counts.unsupported,
        "silent": counts.silent,
    }
    told = [f"{number} {word}" for word, number in parts.items() if number]
    return ", ".join([f"{counts.desired} desired", *told]) if policy.status.conditions else ""


def _place(place: Place, newest: str | None) -> Item:
    which = "" if place.revision == newest else f", on {place.revision}"
    return Item(f"{place.state}{which}", f"{_nodes(len(place.nodes))}: {_names(place.nodes)}", STATE_TONES[place.state])


def _refusals(found: Sequence[Refusal]) -> Iterator[Item]:
    for one in found[:_REFUSALS_SHOWN]:
        why = _why(one.reason, one.message) if one.function else one_line(one.message)
        text = f"{one.state} on {_nodes(len(one.nodes))} ({_names(one.nodes)})"
        yield Item(one.function or one.reason, f"{text}: {why}" if why else text, STATE_TONES[one.state])
    if len(found) > _REFUSALS_SHOWN:
        yield Item("…", f"{len(found) - _REFUSALS_SHOWN} more; -o yaml has them all")


def _names(nodes: Sequence[str]) -> str:
    shown = " ".join(nodes[:_NAMES_SHOWN])
    more = f" and {len(nodes) - _NAMES_SHOWN} more" if len(nodes) > _NAMES_SHOWN else ""
    return f"{shown}{more}"


def _nodes(count: int) -> str:
    return f"{count} node{'' if count == 1 else 's'}"


def _why(reason: str, message: str) -> str:
    said = one_line(message)
    return f"{reason}: {said}" if said else reason


def _overlap(own: str, other: str, others_rule: bool) -> str:
    winner = other if others_rule else own
    return f"selects some of the same pods; they have the settings of {winner}, and the kernel functions of both"
