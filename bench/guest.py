"""The benchmark inside its guest: two pods, a sink, and rounds that attach and detach the agent.

A round measures all workloads twice, without and with the agent; which comes first alternates, so that no drift favours one side. The
agent's start and end are outside of what is measured. What it still has to do when a load ends is counted to that load.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from clew_lab.agent import AgentProcess, agent_command, process_tree, resident_kib
from clew_lab.image import CHECKOUT
from clew_lab.load import LoadResult, closed_loop, get, open_loop
from clew_lab.pods import LabPod, PodNetwork

from bench.figures import Measurement
from bench.procfs import busy_seconds, process_seconds
from bench.report import AgentCost, Row, losses, render, to_json
from bench.workloads import WORKLOADS, Runtime, Workload, runtimes

__all__ = ["Plan", "measure"]

_PORT = 8080
_START_SECONDS = 420.0
_SINK_PORT = 4318
_METRICS = "127.0.0.1:9464"
_REQUEST = get("front", "/order")
_SETTLE_SECONDS = 6.0
"""Longer than spans wait for a whole batch (``OTEL_BSP_SCHEDULE_DELAY``): what is sent then belongs to the load before."""
_SETTLE_LIMIT_SECONDS = 60.0
_QUIET = 0.05
"""What the agent may use of a processor when nothing goes on."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: rounds, seconds per workload, the policy, and which runtimes (empty: all).

    A ``control`` leaves the agent out of both halves: its ratios differ from 1 by the machine's noise alone.
    """

    rounds: int
    seconds: float
    policy: Path
    only: Sequence[str] = ()
    control: bool = False


@dataclass(frozen=True, slots=True)
class _Bench:
    """What stands for the length of the benchmark."""

    plan: Plan
    inventory: Path
    fronts: dict[str, tuple[str, int]]
    sink: int

    def workloads(self) -> list[Workload]:
        return [workload for workload in WORKLOADS if workload.runtime in self.fronts]


def measure(plan: Plan) -> int:
    """Run the whole benchmark, print the report, and leave it in ``build/bench.md`` and ``build/bench.json``; 0 if no request failed."""
    build = CHECKOUT / "build"
    build.mkdir(exist_ok=True)
    known = {name: runtime for name, runtime in runtimes(CHECKOUT).items() if not plan.only or name in plan.only}
    costs: list[AgentCost] = []
    pairs: dict[str, list[tuple[Measurement, Measurement]]] = {workload.name: [] for workload in WORKLOADS}
    with ExitStack() as stack:
        network = stack.enter_context(PodNetwork())
        fronts = {name: _start_pair(network, name, runtime) for name, runtime in known.items() if not runtime.missing}
        inventory = network.write_inventory(Path("/tmp/pods.json"))
        bench = _Bench(plan, inventory, fronts, stack.enter_context(_sink()))
        _await_quiet()
        for number in range(plan.rounds):
            if number % 2:
                with_agent, without = _with_agent(bench, costs), _all_workloads(bench, ())
            else:
                without, with_agent = _all_workloads(bench, ()), _with_agent(bench, costs)
            for name, measurement in without.items():
                pairs[name].append((measurement, with_agent[name]))
            _say(f"round {number + 1} of {plan.rounds}: " + _round_line(without, with_agent))
    rows = [Row(load.name, pairs[load.name], known[load.runtime].missing) for load in WORKLOADS if load.runtime in known]
    report = render(rows, costs, plan.control)
    (build / "bench.md").write_text(report)
    (build / "bench.json").write_text(json.dumps(to_json(rows, costs), indent=2) + "\n")
    print(report, flush=True)
    failures = sum(run.failures for row in rows for pair in row.rounds for run in pair)
    if failures:
        print(f"bench: {failures} requests failed", file=sys.stderr)
    return 1 if failures else 0


def _await_quiet() -> None:
    """Wait until the guest has done what it does after its boot; it would be counted to whatever is measured first."""
    begun = time.monotonic()
    while time.monotonic() - begun < _SETTLE_LIMIT_SECONDS:
        busy = busy_seconds()
        time.sleep(1)
        if busy_seconds() - busy <= _QUIET:
            return


def _start_pair(network: PodNetwork, name: str, runtime: Runtime) -> tuple[str, int]:
    """Start both services of a runtime in pods of their own; returns the front's address."""
    back = network.pod(f"{name}-back", "bench")
    front = network.pod(f"{name}-front", "bench")
    for pod, role in ((back, "back"), (front, "front")):
        environment = {**os.environ, "PORT": str(_PORT), "BACK_HOST": back.name, "BACK_PORT": str(_PORT)}
        pod.popen([*runtime.argv, role], env=environment, stdin=subprocess.DEVNULL)
    for pod in (back, front):
        _say(f"{pod.name} listens after {pod.wait_listening(_PORT, timeout=_START_SECONDS):.1f} s")
    return _address(front)


def _address(pod: LabPod) -> tuple[str, int]:
    return (str(pod.address), _PORT)


@contextmanager
def _sink() -> Iterator[int]:
    """The OTLP receiver, outside of every pod; gives its pid."""
    process = subprocess.Popen([sys.executable, "-m", "bench.sink", str(_SINK_PORT)], stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _with_agent(bench: _Bench, costs: list[AgentCost]) -> dict[str, Measurement]:
    """All workloads under a freshly started agent; what it cost is appended to ``costs``. In a control, without one."""
    if bench.plan.control:
        return _all_workloads(bench, ())
    argv = agent_command([bench.plan.policy], bench.inventory, ["otlp"], _METRICS)
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{_SINK_PORT}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    with AgentProcess(argv, environment) as agent:
        ready = agent.wait_ready()
        _say(f"agent ready after {ready:.1f} s")
        before = process_seconds(process_tree(agent.pid))
        found = _all_workloads(bench, (agent.pid,))
        tree = process_tree(agent.pid)
        with urllib.request.urlopen(f"http://{_METRICS}/metrics", timeout=60) as response:
            lost = losses(response.read().decode())
        costs.append(
            AgentCost(
                ready,
                resident_kib(agent.pid),
                sum(map(resident_kib, tree)),
                process_seconds(tree) - before,
                sum(len(found[load.name].latencies_ns) + _warm_up(load) for load in bench.workloads()),
                lost,
            )
        )
        status = agent.stop()
    if status != 0:
        raise RuntimeError(f"the agent ended with status {status}:\n{''.join(agent.lines[-20:])}")
    return found


def _all_workloads(bench: _Bench, agents: Sequence[int]) -> dict[str, Measurement]:
    """Measure every workload once; ``agents`` are the main processes whose remaining work is waited for."""
    return {workload.name: _measure(bench, workload, agents) for workload in bench.workloads()}


def _measure(bench: _Bench, workload: Workload, agents: Sequence[int]) -> Measurement:
    front = bench.fronts[workload.runtime]
    closed_loop(front, lambda _: _REQUEST, connections=workload.connections, count=_warm_up(workload))
    trailing = [bench.sink, *(pid for agent in agents for pid in process_tree(agent))] if agents else []
    _settle(trailing)
    busy = busy_seconds()
    result = _load(front, workload, bench.plan.seconds)
    busy = busy_seconds() - busy
    return Measurement(result.latencies_ns, result.seconds, busy + _settle(trailing), result.failures)


def _warm_up(workload: Workload) -> int:
    """How many requests go ahead of a measured load: new threads, caches, and probes that run for the first time."""
    return 10 * workload.connections


def _load(front: tuple[str, int], workload: Workload, seconds: float) -> LoadResult:
    if workload.rate is not None:
        return open_loop(front, lambda _: _REQUEST, rate=workload.rate, seconds=seconds, connections=workload.connections)
    return closed_loop(front, lambda _: _REQUEST, connections=workload.connections, seconds=seconds)


def _settle(pids: list[int]) -> float:
    """Wait until these processes have worked off what they have, if there are any; returns the CPU seconds that took them."""
    begun = time.monotonic()
    first = last = process_seconds(pids)
    while pids and time.monotonic() - begun < _SETTLE_LIMIT_SECONDS:
        time.sleep(_SETTLE_SECONDS)
        now = process_seconds(pids)
        if now - last <= _QUIET * _SETTLE_SECONDS:
            return now - first
        last = now
    return last - first


def _round_line(without: dict[str, Measurement], with_agent: dict[str, Measurement]) -> str:
    ratios = [f"{name} {with_agent[name].throughput / plain.throughput:.2f}" for name, plain in without.items()]
    return "throughput " + ", ".join(ratios)


def _say(text: str) -> None:
    print(f"[{time.monotonic():7.1f} s] {text}", flush=True)
