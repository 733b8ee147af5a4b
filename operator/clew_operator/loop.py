"""The one reconcile loop: when to look, and at what. Level-triggered: why it was woken does not matter.

It is woken by what changed, by the time that the last look named, and now and then by itself. After a look at which something could not
be written comes another after a back-off. A term begins with complete lists: what another leader wrote a moment ago is in them, so
no decision is made from a view that is older than its last write. The lists are read again from time to time, and a single one when
its watch had to begin anew, since what was deleted meanwhile is reported by no watch.
"""

from __future__ import annotations

import logging
import random
import threading
import time

from clew_operator.client import Api, ApiError
from clew_operator.keys import KeyQueue
from clew_operator.kinds import Kind
from clew_operator.knowledge import Knowledge
from clew_operator.leader import Leader
from clew_operator.look import Look, Verdict
from clew_operator.metrics import Metrics

_LOG = logging.getLogger("clew.loop")
_SETTLE = 0.05  # seconds between two looks at least: changes that come together are looked at together
_IDLE = 60.0
_BACK_OFF = (0.25, 30.0)


class Loop:
    """The loop, in a thread of its own."""

    def __init__(
        self, queue: KeyQueue, leader: Leader, api: Api, knowledge: Knowledge, look: Look, metrics: Metrics, resync: float
    ) -> None:
        self._queue = queue
        self._leader = leader
        self._api = api
        self._knowledge = knowledge
        self._look = look
        self._metrics = metrics
        self._resync = resync
        self._term: int | None = None
        self._listed = 0.0
        self._doubtful: set[Kind] = set()
        self._back_off = BackOff()
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End when the look that is under way has ended."""
        self._queue.close()
        self._thread.join()

    def alive(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive()

    def complete(self) -> bool:
        """Whether the caches are complete for this term."""
        return self._term is not None and self._term == self._leader.term()

    def _run(self) -> None:
        earliest, latest = 0.0, 0.0
        while True:
            keys = self._queue.take(not_before=earliest, not_after=latest)
            if self._queue.closed:
                return
            term = self._leader.term()
            self._metrics.set("leader", term is not None)
            if term is None:
                earliest, latest = 0.0, time.monotonic() + _IDLE
                continue
            self._metrics.count("queue_keys", len(keys))
            verdict = self._reconcile(term)
            now = time.monotonic()
            wait = self._back_off.after(verdict)
            if verdict.complete:
                earliest = now + _SETTLE
                latest = max(earliest, min(verdict.wake if verdict.wake is not None else now + _IDLE, now + _IDLE))
            else:
                earliest = latest = now + max(verdict.retry_after, wait * random.uniform(0.8, 1.2))

    def _reconcile(self, term: int) -> Verdict:
        began = time.monotonic()
        try:
            self._refresh(term)
            verdict = self._look.once()
        except ApiError as error:
            _LOG.warning("the cluster could not be read", extra={"fault": error.fault.value, "error": str(error)})
            verdict, result = Verdict(complete=False, retry_after=error.retry_after), "incomplete"
        except Exception:
            # A fault of ours. Nothing was decided, so nothing is lost; the metric and the log tell.
            _LOG.exception("a look failed")
            verdict, result = Verdict(complete=False), "failed"
        else:
            result = "done" if verdict.complete else "incomplete"
        self._metrics.count("reconciles", result=result)
        self._metrics.observe("reconcile_seconds", time.monotonic() - began)
        return verdict

    def _refresh(self, term: int) -> None:
        self._doubtful |= set(self._knowledge.suspects())
        if term != self._term or time.monotonic() - self._listed >= self._resync:
            self._doubtful = set(self._knowledge.selectors)
            self._listed = time.monotonic()
        for kind in sorted(self._doubtful, key=lambda one: one.plural):
            self._knowledge.list_anew(self._api, kind)
            self._metrics.count("lists")
            self._doubtful.discard(kind)
        self._term = term


class BackOff:
    """How long to wait after a look that is not complete: doubling up to half a minute, for as long as nothing at all is written.

    Where some of it is, the API server works, and the rollout gets on: a conflict now and then must not slow it down for good.
    """

    def __init__(self) -> None:
        self._failures = 0

    def after(self, verdict: Verdict) -> float:
        """Seconds to wait after this look."""
        if verdict.complete or verdict.wrote:
            self._failures = 0
        if verdict.complete:
            return 0.0
        first, most = _BACK_OFF
        wait = min(most, first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return wait
