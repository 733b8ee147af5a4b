"""The agent's main loop: pods and policies in, spans and counters out.

One thread does all of it by its own clock: reads the ring, assembles spans, and once a second looks after policies, pods and the time.
Programs are built in a thread beside it (``function_hooks.py``). Export has a thread of its own (``export/queue.py``), so a collector
that is away delays nothing here; counters are read when asked for.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from clew_agent.clock import Offset, follow, measure
from clew_agent.container_folders import ContainerFolders
from clew_agent.enforcement import Enforcement, Intent, Numbers, intend, plan
from clew_agent.enforcer import Enforcer
from clew_agent.export.base import Exporter
from clew_agent.functions.layout import FunctionLayout
from clew_agent.loader.load import LoadError
from clew_agent.loader.syscalls import map_info
from clew_agent.metrics import Metric, Metrics
from clew_agent.model import AttributeValue, Inventory, InventorySource
from clew_agent.records import make_decoder, read_records_header
from clew_agent.ring import RingBuffer
from clew_agent.spans.facts import Facts, SpanOptions, Traced, known_methods, make_facts
from clew_agent.spans.parent import HOLD_NS, Holding
from clew_agent.spans.pipeline import Assembled, assemble, drain
from clew_agent.standing import PolicySource, Reporter, Standing, stand

_LOG = logging.getLogger("clew.agent")
_LOOK = 0.1  # seconds between looks at the ring, which holds 9,000 requests or more
_HOUSEKEEPING = 1.0
_GONE_PODS_KEPT = 1000
_FLUSH = 5.0


@dataclass(slots=True)
class Agent:
    """Enforces policies on the pods of an inventory until it is told to stop. Who makes it closes its enforcer."""

    policies: PolicySource
    source: InventorySource
    reporter: Reporter
    enforcer: Enforcer
    exporters: list[Exporter]
    metrics: Metrics
    kernel_rows: Mapping[int, str]
    host: bytes
    host_attributes: Mapping[str, AttributeValue]
    _numbers: Numbers = field(default_factory=Numbers)
    _inventory: Inventory | None = None
    _wanted: Intent = field(default_factory=Intent)
    _in_force: Intent = field(default_factory=Intent)
    _refusal: str = ""
    _enforcement: Enforcement = field(default_factory=Enforcement)
    _standing: Standing | None = None
    _layouts: Mapping[int, FunctionLayout] = field(default_factory=dict)
    _told: object = None
    _traced: dict[int, Traced] = field(default_factory=dict)
    _folders: ContainerFolders = field(default_factory=ContainerFolders)
    _facts: Facts | None = None
    _clock: Offset | None = None

    def run(self, stop: threading.Event, ready: Callable[[Enforcement], None]) -> None:
        """Work until ``stop`` is set, then let out what is held and end. ``ready`` is called when all pods are attached."""
        decode = make_decoder(read_records_header())
        records = self.enforcer.programs.maps["records"]
        ring = RingBuffer(records, map_info(records)["max_entries"])
        holding = Holding()
        self._housekeep()
        while self._is_building() and not stop.wait(_LOOK):
            self._housekeep()
        if not stop.is_set():
            ready(self._enforcement)
        due = time.monotonic() + _HOUSEKEEPING
        while not stop.is_set():
            raw = ring.read()
            hold_ns = HOLD_NS if self._layouts else 0
            holding, made = assemble(holding, raw, decode, self._known_facts(), time.monotonic_ns(), hold_ns)
            self._pass_on(made)
            if time.monotonic() >= due:
                self._housekeep()
                due = time.monotonic() + _HOUSEKEEPING
            stop.wait(_LOOK)
        self.enforcer.detach()
        while raw := ring.read():
            holding, made = assemble(holding, raw, decode, self._known_facts(), time.monotonic_ns())
            self._pass_on(made)
        self._pass_on(drain(holding, self._known_facts())[1])
        for exporter in self.exporters:
            exporter.shutdown(_FLUSH)
        ring.close()

    def count(self) -> dict[Metric, int]:
        """All metrics as they are now, for any thread, until the enforcer is closed."""
        counted = self.enforcer.counters()
        self.metrics.put({name: counted[index] for index, name in self.kernel_rows.items()})
        self.metrics.put(self.enforcer.counts())
        self.metrics.put(_sum(exporter.counts() for exporter in self.exporters))
        return self.metrics.read()

    def _known_facts(self) -> Facts:
        if self._facts is None:
            raise RuntimeError("housekeeping comes before the first batch")
        return self._facts

    def _pass_on(self, made: Assembled) -> None:
        self.metrics.add(made.counts)
        if made.spans:
            for exporter in self.exporters:
                exporter.export(list(made.spans))

    def _housekeep(self) -> None:
        clock, self._clock = self._clock, follow(self._clock, measure())
        self.enforcer.tell_clock(self._clock.ns, self.host, os.getpid())
        inventory, before = self.source.current(), self._in_force
        self._follow_policies()
        news = inventory is not self._inventory or self._in_force is not before
        if news:
            self._inventory = inventory
            self._enforcement = plan(self._in_force, inventory, self.source.namespaces(), self._numbers.of)
        self.enforcer.apply(self._enforcement)
        self.enforcer.functions.switch(self._in_force.functions)
        self.enforcer.functions.tend()
        if self._in_force is not before:
            _LOG.info("policies in force: %s", ", ".join(policy.metadata.name for policy in self._in_force.policies) or "none")
        layouts, self._layouts = self._layouts, self.enforcer.functions.layouts
        if news or clock != self._clock or layouts is not self._layouts:
            self._facts = self._gather(inventory, self._clock.ns)
        self._report()

    def _follow_policies(self) -> None:
        """Look which policies are wanted, and put them in force when the programs for them are there."""
        policies = self.policies.policies()
        if policies is not self._told:
            self._told, self._refusal = policies, ""
            self._wanted = intend(policies, self._in_force)
        try:
            if self.enforcer.functions.prepare(self._wanted.functions):
                self._in_force = self._wanted
        except LoadError as error:
            self._refusal = str(error)

    def _is_building(self) -> bool:
        return self._in_force is not self._wanted and not self._refusal

    def _report(self) -> None:
        problems = [*self._in_force.problems, *self.enforcer.functions.problems]
        standing = stand(self._wanted.policies, self._in_force, self._enforcement, self._refusal, problems, self.enforcer.propagation)
        if standing != self._standing:
            self._standing = standing
            self.reporter.tell(standing)

    def _gather(self, inventory: Inventory, offset: int) -> Facts:
        settings = self._enforcement.settings
        now = {scope.slot: Traced(scope.pod, settings[scope.policy].spans) for scope in self._enforcement.scopes}
        # Pods that have gone stay known, with what was chosen for them, for their last records.
        self._traced |= now
        for slot in list(self._traced)[:-_GONE_PODS_KEPT]:
            if slot not in now:
                del self._traced[slot]
        options = SpanOptions(known_methods=known_methods(os.environ))
        return make_facts(inventory, self._traced, self._layouts, offset, self.host_attributes, options, self._folders.find)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for one in counts:
        for name, value in one.items():
            totals[name] = totals.get(name, 0) + value
    return totals
