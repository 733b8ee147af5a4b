"""Which nodes are told what at this look, without more than ``maxUnavailable`` of them changing at one time.

Nodes of the present step get the newest revision; every other node is to have the stable one, or none where there is none. A node
that owes an answer already may be told something else at once: that makes no further node unavailable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clew_crds.rollout import OnFailure

from clew_operator.planning.answers import NodeView
from clew_operator.planning.case import Case, Memory, Phase
from clew_operator.planning.order import ordered
from clew_operator.planning.progress import measure


def moves(case: Case, memory: Memory, again: frozenset[str]) -> Mapping[str, str | None]:
    """The nodes that are told something else, and the revision, or ``None`` for nothing any longer.

    ``again`` are nodes that have the newest revision and are to let go of it.
    """
    if case.rollout.paused and not memory.state.aborted:
        return {}
    forward = _forward(case, memory)
    others = _others(case, memory, again, {view.name for view in forward})
    room = case.max_unavailable - sum(view.changing for view in case.nodes)
    told: dict[str, str | None] = {}
    for view, revision in [*((view, case.newest) for view in forward), *others]:
        if not _tellable(case, memory, view, revision):
            continue
        if not view.unanswered:
            if room <= 0:
                continue
            room -= 1
        told[view.name] = revision
    return told


def _forward(case: Case, memory: Memory) -> list[NodeView]:
    """The nodes without the newest revision that are to get it now, in order.

    It is the order of all nodes, whoever has been told: so a replica that has not seen all that another one wrote tells the same nodes.
    """
    phase = memory.phase(case.newest)
    if phase is Phase.STEADY:
        return sorted((view for view in case.nodes if view.told != case.newest), key=_urgency)
    progress = measure(case, memory, case.nodes)
    places = progress.wanted - progress.filled
    if phase is Phase.FAILED or places <= 0 or not progress.untold:
        return []
    untold = {view.name: view for view in progress.untold}
    order = ordered((case.facts[view.name] for view in case.nodes), case.with_pods, case.name)
    return [untold[name] for name in order if name in untold][:places]


def _others(case: Case, memory: Memory, again: frozenset[str], chosen: Iterable[str]) -> list[tuple[NodeView, str | None]]:
    """The nodes that are to have the stable revision, or nothing, and have something else."""
    chosen = set(chosen)
    stays = _stays(case, memory)
    stable = memory.stable if memory.stable in case.revisions else None
    wrong = [
        view
        for view in case.nodes
        if view.told != memory.stable and view.name not in chosen and not (stays and view.told == case.newest and view.name not in again)
    ]
    return [(view, stable) for view in sorted(wrong, key=_urgency)]


def _stays(case: Case, memory: Memory) -> bool:
    """Whether nodes that have the newest revision keep it."""
    if memory.phase(case.newest) is not Phase.FAILED:
        return True
    return case.rollout.on_failure is OnFailure.PAUSE and not memory.state.aborted


def _tellable(case: Case, memory: Memory, view: NodeView, revision: str | None) -> bool:
    """Whether this node may be told ``revision`` now.

    Only a revision that exists is told. A NotReady node is told nothing new, but is taken off what it has. A node that was taken off
    the newest revision answers for that before it is told it again: its old report could not be told from a new one.
    """
    if view.told == revision or (revision is not None and revision not in case.revisions):
        return False
    if revision == case.newest != memory.stable and view.said == revision:
        return False
    return view.ready or view.told is not None


def _urgency(view: NodeView) -> tuple[bool, bool, str]:
    return (not view.unanswered, not view.ready, view.name)
