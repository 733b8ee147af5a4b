"""A bounded queue in front of a sink, and the thread that empties it.

The pipeline must never wait for a collector, and a collector that is away for a while must not cost spans before memory does.
The official exporters retry inside one call and give up after their timeout (10 s unless set), with the batch lost; here a batch
that may succeed later stays at the head and is tried again with growing pauses, while the queue fills up to its capacity. After
that new spans are dropped and counted (as the specification's batch span processor does), so that those that are kept belong to
whole traces.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence

from clew_agent.export.base import Result, Sent, Sink
from clew_agent.export.settings import QueueLimits
from clew_agent.model import Span

_LOG = logging.getLogger("clew.export")
_RANDOM = random.SystemRandom()  # nodes that are copies of one another shall not come at one moment


class QueuedExporter:
    """An ``Exporter`` over a ``Sink``: the thread starts at once and ends with ``shutdown``."""

    def __init__(self, sink: Sink, limits: QueueLimits | None = None) -> None:
        """Start the thread, which owns the sink until ``shutdown``."""
        self._sink = sink
        self._limits = limits or QueueLimits()
        self._queue: deque[Span] = deque()
        self._in_hand = 0
        self._wake = threading.Condition()
        self._deadline: float | None = None
        self._away = False
        self._counts = dict.fromkeys(("exported", "dropped_queue_full", "dropped_refused", "dropped_at_shutdown", "retries"), 0)
        self._thread = threading.Thread(target=self._run, name="clew-export", daemon=True)
        self._thread.start()

    def export(self, spans: Sequence[Span]) -> None:
        """Take spans over without waiting; what is above the capacity is dropped and counted."""
        with self._wake:
            closed = self._deadline is not None
            waiting = len(self._queue)
            room = 0 if closed else max(0, self._limits.capacity - waiting - self._in_hand)
            self._queue.extend(spans[:room])
            self._counts["dropped_at_shutdown" if closed else "dropped_queue_full"] += max(0, len(spans) - room)
            # Only where the thread has something to do now: the first span starts the delay, a whole batch ends it.
            if not waiting or len(self._queue) >= self._limits.batch:
                self._wake.notify()

    def shutdown(self, timeout_s: float) -> None:
        """Send what is queued, within ``timeout_s`` seconds, then close the sink; the rest is counted as dropped."""
        with self._wake:
            if self._deadline is not None:
                return
            self._deadline = time.monotonic() + timeout_s
            self._wake.notify_all()
        self._thread.join(timeout_s)
        self._sink.close()
        self._thread.join(1.0)
        with self._wake:
            left = len(self._queue) + self._in_hand
            self._queue.clear()
            self._in_hand = 0
            self._counts["dropped_at_shutdown"] += left
        if left:
            _LOG.warning("%d spans could not be exported before the end", left)

    def counts(self) -> Mapping[str, int]:
        """``export_*`` totals, and ``export_queue_length``: the spans that wait, those being sent included."""
        with self._wake:
            totals = {f"export_spans_{name}": value for name, value in self._counts.items() if name != "retries"}
            return {**totals, "export_retries": self._counts["retries"], "export_queue_length": len(self._queue) + self._in_hand}

    def _run(self) -> None:
        while batch := self._next():
            self._deliver(batch)

    def _next(self) -> list[Span]:
        """The next batch, when it is full, old enough, or the end has come. Empty: there is nothing more to do."""
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._deadline is not None)
            if self._deadline is None:
                self._wake.wait_for(lambda: len(self._queue) >= self._limits.batch or self._deadline is not None, self._limits.delay_s)
            if self._deadline is not None and time.monotonic() >= self._deadline:
                return []
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._limits.batch))]
            self._in_hand = len(batch)
            return batch

    def _deliver(self, batch: list[Span]) -> None:
        """Send one batch, again and again while the sink says that it may succeed later and there is time."""
        pause = self._limits.first_retry_s
        while (sent := self._send(batch)).result is Result.RETRY:
            self._tell_away(sent.reason)
            if not self._wait(sent.retry_after_s if sent.retry_after_s is not None else pause * _RANDOM.uniform(0.8, 1.2)):
                self._settle("dropped_at_shutdown", len(batch), 0)
                return
            pause = min(pause * 2, self._limits.last_retry_s)
        refused = len(batch) if sent.result is Result.REFUSED else sent.rejected
        self._settle("dropped_refused", refused, len(batch) - refused)
        if refused:
            _LOG.warning("%d of %d spans were refused: %s", refused, len(batch), sent.reason)
        elif self._away:
            self._away = False
            _LOG.warning("export works again")

    def _send(self, batch: list[Span]) -> Sent:
        """The sink's answer; its failing is one too, since the thread must outlive it."""
        try:
            return self._sink.send(batch)
        except Exception as error:
            return Sent(Result.REFUSED, f"{type(error).__name__}: {error}")

    def _settle(self, reason: str, dropped: int, exported: int) -> None:
        """Count the batch in hand, unless ``shutdown`` lost patience with it and has counted it."""
        with self._wake:
            if self._in_hand:
                self._counts[reason] += dropped
                self._counts["exported"] += exported
                self._in_hand = 0

    def _wait(self, seconds: float) -> bool:
        """Pause before another try, which the coming of the end cuts short. False: there is no time left for one."""
        with self._wake:
            if self._deadline is None:
                self._wake.wait_for(lambda: self._deadline is not None, seconds)
                seconds = 0.0
            if self._deadline is not None and time.monotonic() + seconds >= self._deadline:
                return False
            self._counts["retries"] += 1
        time.sleep(seconds)
        return True

    def _tell_away(self, reason: str) -> None:
        if not self._away:
            self._away = True
            _LOG.warning("export fails and will be tried again, with room for %d spans: %s", self._limits.capacity, reason)
