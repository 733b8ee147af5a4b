"""Kubernetes events: what ``kubectl describe`` shows of a policy's past. One for each transition, after it was written down.

An event is a courtesy: one that cannot be written is logged and counted, and not tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from clew_operator.bodies import event_body
from clew_operator.client import Api, ApiError
from clew_operator.clock import SteadyClock
from clew_operator.kinds import Kind
from clew_operator.leader import DeposedError, Leader
from clew_operator.metrics import Metrics
from clew_operator.planning.world import Event, Severity

_LOG = logging.getLogger("clew.events")
_LEVELS = {Severity.NORMAL: logging.INFO, Severity.WARNING: logging.WARNING}


class Events:
    """Publishes events, to the log and to the API server."""

    def __init__(self, api: Api, leader: Leader, metrics: Metrics, identity: str, clock: SteadyClock) -> None:
        self._api = api
        self._leader = leader
        self._metrics = metrics
        self._identity = identity
        self._clock = clock

    def publish(self, events: Iterable[Event], uid: str) -> None:
        """Publish events of one policy, whose uid is ``uid``."""
        for event in events:
            _LOG.log(_LEVELS[event.severity], event.message, extra={"policy": event.policy, "reason": event.reason})
            body = event_body(event, uid, self._identity, self._clock.now())
            try:
                self._api.create(Kind.EVENT, body["metadata"]["namespace"], body, timeout=self._leader.time_left())
            except ApiError as error:
                self._metrics.count("writes", kind="event", result=error.fault.value)
                _LOG.warning("an event could not be written", extra={"policy": event.policy, "error": str(error)})
            except DeposedError:
                return
            else:
                self._metrics.count("writes", kind="event", result="done")
