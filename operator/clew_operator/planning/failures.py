"""What went wrong on which node, and how a step fails by it. A status names the first few nodes and counts the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from clew_crds.status import FAILURES_MAX, Failure

from clew_operator.planning.answers import NodeView
from clew_operator.planning.case import Case, Memory
from clew_operator.planning.sentences import cut

DEADLINE = "ProgressDeadlineExceeded"
_LONGEST = 200
"""Characters of a failure's message, so that a status stays small."""


def failed(case: Case, memory: Memory, nodes: Iterable[NodeView]) -> Memory:
    """The newest revision has failed, because of what these nodes answered."""
    return _stopped(case, noted(memory, nodes))


def overdue(case: Case, memory: Memory, nodes: Iterable[NodeView]) -> Memory:
    """The newest revision has failed, because nothing was heard of these nodes for too long."""
    return _stopped(case, _remembered(memory, [_unheard(view, memory.state.last_progress_time) for view in nodes]))


def noted(memory: Memory, nodes: Iterable[NodeView]) -> Memory:
    """``memory`` with the failures of these nodes as well."""
    return _remembered(memory, [_answered(view) for view in nodes])


def present(memory: Memory, nodes: Iterable[NodeView]) -> Memory:
    """``memory`` with the failures of these nodes, and no others."""
    found = {view.name: _answered(view) for view in nodes}
    still = tuple(found[failure.node] for failure in memory.failures if failure.node in found)
    return _remembered(replace(memory, failures=still, failed=len(found)), found.values())


def _remembered(memory: Memory, found: Iterable[Failure]) -> Memory:
    """Newest first. The one that happened first is the last, and is never dropped: it is the cause."""
    known = {failure.node for failure in memory.failures}
    fresh = [failure for failure in found if failure.node not in known]
    kept = (*reversed(fresh), *memory.failures)[-FAILURES_MAX:]
    return replace(memory, failures=kept, failed=max(memory.failed, len(known) + len(fresh)))


def _stopped(case: Case, memory: Memory) -> Memory:
    ended = {"failed_revision": case.newest, "soak_started_time": None}
    return replace(memory, state=memory.state.model_copy(update=ended))


def _answered(view: NodeView) -> Failure:
    assert view.report is not None
    return Failure(node=view.name, reason=view.report.reason, message=cut(view.report.message, _LONGEST))


def _unheard(view: NodeView, since: str | None) -> Failure:
    what = "it has not answered" if view.ready else "the node is NotReady"
    return Failure(node=view.name, reason=DEADLINE, message=f"{what}; no progress since {since}")
