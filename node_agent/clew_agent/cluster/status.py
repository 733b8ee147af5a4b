"""Writes the node's status: by server-side apply, in a thread of its own, so that an API server that is away delays nobody."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from clew_crds import API_VERSION
from clew_crds.node import NODE_KIND, NodeStatus, State

from clew_agent.cluster import Object
from clew_agent.cluster.budget import LOOK_S, Budgets
from clew_agent.cluster.client import Api, ApiError
from clew_agent.cluster.report import Costs, essence, limits_in_force, losses, node_status
from clew_agent.cluster.schedule import Schedule, failed, written
from clew_agent.cluster.told import Told, Verdict
from clew_agent.cluster.tracing import tracing_path
from clew_agent.cluster.watch import Backoff
from clew_agent.enforcer import UnsupportedKernelError
from clew_agent.kernel.btf import NoBtfError
from clew_agent.metrics import Metric
from clew_agent.standing import Standing

MANAGER = "clew-agent"
_RACES = (404, 409)  # the object has just gone, or somebody wrote at the same time
_LOG = logging.getLogger("clew.cluster")
_RANDOM = random.SystemRandom()  # as in watch.py


@dataclass(slots=True)
class Meter:
    """What this process costs. Processor time is that since the last reading."""

    _cpu: float = field(default_factory=time.process_time)
    _at: float = field(default_factory=time.monotonic)

    def read(self) -> tuple[int, int]:
        """Thousandths of a CPU, and resident mebibytes."""
        cpu, now = time.process_time(), time.monotonic()
        spent = (cpu - self._cpu) / max(now - self._at, 1e-3)
        self._cpu, self._at = cpu, now
        resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return round(spent * 1000), resident >> 20


class StatusReporter:
    """A ``Reporter`` that writes NodeTracing's status."""

    def __init__(self, api: Api, node: str, told: Callable[[], Told], news: threading.Event) -> None:
        """``told`` is what the operator has told last; ``news`` is set when that has changed."""
        self._api, self._node, self._told, self._news = api, node, told, news
        self._standing: Standing | None = None
        self._unable: Verdict | None = None
        self._count: Callable[[], Mapping[Metric, int]] | None = None
        self._lock = threading.Lock()
        self._meter = Meter()
        self._look_meter = Meter()
        self._budgets = Budgets()
        self._look_due = 0.0
        self._last: tuple[str, NodeStatus] | None = None  # the object's uid, and what it was told
        threading.Thread(target=self._run, name="clew-status", daemon=True).start()

    def tell(self, standing: Standing) -> None:
        """Take note of how the agent stands."""
        self._standing = standing
        self._news.set()

    def tell_unable(self, error: Exception) -> None:
        """Say that nothing can be traced here: Unsupported where the kernel lacks something, else Failed."""
        if isinstance(error, NoBtfError | UnsupportedKernelError):
            self._unable = Verdict(State.UNSUPPORTED, "KernelUnsupported", str(error))
        else:
            self._unable = Verdict(State.FAILED, "LoadFailed", str(error))
        self.tell(Standing())

    def begin(self, count: Callable[[], Mapping[Metric, int]]) -> None:
        """From now on there are figures."""
        with self._lock:
            self._count = count

    def end(self) -> None:
        """From now on there are none. Waits for those that are being read."""
        with self._lock:
            self._count = None

    def _run(self) -> None:
        schedule, backoff = written(time.monotonic(), _RANDOM.random()), Backoff(1.0, 60.0)
        while True:
            self._news.wait(max(0.0, min(schedule.due, self._look_due or schedule.due) - time.monotonic()))
            self._news.clear()
            now, told, standing = time.monotonic(), self._told(), self._standing
            if standing is not None:
                self._look_at_costs(now, told, standing)
            if standing is None or not told.uid:
                # Nothing to say yet, or no object to say it to: the next news may bring either.
                schedule = written(now, _RANDOM.random())
            elif now >= schedule.due:
                schedule = self._write(told, standing, backoff)
            elif self._is_new(told, standing):
                schedule = schedule.changed(now, _RANDOM.random())

    def _look_at_costs(self, now: float, told: Told, standing: Standing) -> None:
        """Hold budgets against costs where it is time to. ``_look_due`` is 0 while no policy has a budget."""
        limits = limits_in_force(told, standing)
        if not limits:
            self._budgets, self._look_due = Budgets(), 0.0
        elif not self._look_due:
            self._look_meter.read()  # what was spent before is none of theirs
            self._look_due = now + LOOK_S
        elif now >= self._look_due:
            self._budgets, self._look_due = self._budgets.look(limits, *self._look_meter.read()), now + LOOK_S

    def _is_new(self, told: Told, standing: Standing) -> bool:
        if self._last is None or self._last[0] != told.uid:
            return True
        return essence(self._status(told, standing, Costs())) != essence(self._last[1])

    def _write(self, told: Told, standing: Standing, backoff: Backoff) -> Schedule:
        status = self._status(told, standing, self._costs())
        if (told.uid, status) != self._last:
            try:
                self._api.apply_status(tracing_path(self._node), _document(self._node, status), MANAGER)
            except ApiError as error:
                if not error.passes and error.status not in _RACES:
                    _LOG.error("the status of NodeTracing %s cannot be written: %s", self._node, error)
                return failed(time.monotonic(), backoff.pause())
            self._last = told.uid, status
        backoff.reset()
        return written(time.monotonic(), _RANDOM.random())

    def _status(self, told: Told, standing: Standing, costs: Costs) -> NodeStatus:
        return node_status(told, standing, self._unable, os.uname().release, agent_version(), costs, self._budgets.exceeded)

    def _costs(self) -> Costs:
        with self._lock:
            lost = losses(self._count()) if self._count is not None else {}
        return Costs(*self._meter.read(), lost)


def _document(node: str, status: NodeStatus) -> Object:
    return {"apiVersion": API_VERSION, "kind": NODE_KIND, "metadata": {"name": node}, "status": status.document()}


def agent_version() -> str:
    """The version of this package; empty where it is not installed."""
    try:
        return version("clew")
    except PackageNotFoundError:
        return ""
