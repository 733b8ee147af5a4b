"""``python -m bench.cluster``: what Clew costs an application of pods on two real nodes, where its chart has installed it.

Every round measures the same loads under every state, no policy among them; which comes first alternates, as in ``python -m bench``.
Clew stays installed: what a policy costs is measured, and what the agents cost without one. The pod that sends the load is the same
for all rounds, so the way that requests take through the nodes is, too.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clew_lab.cluster import Cluster, start_cluster
from clew_lab.config import KERNELS
from clew_lab.guest import HOST_ADDRESS
from clew_lab.image import CHECKOUT
from clew_lab.images.bookinfo import load_image
from clew_lab.nodes.machine import LabNode, nodes_below
from clew_lab.nodes.starting import start_nodes

from bench.cluster_report import FULL, LOADS, REQUESTS, WITHOUT, Found, Run, Weight, agent_requests, parse_weight, render, without_functions
from bench.quiet import warn_if_busy
from bench.report import losses
from tests.cluster import clew, shop, web
from tests.docs.terminal import Terminal

__all__ = ["main"]

_WAIT = ("python3", "-c", "import signal; signal.pause()")
# Ten requests go ahead: what runs for the first time is none of the figures.
_LOAD = """
import json, sys
from urllib.parse import urlsplit
from clew_lab.load import closed_loop, get, open_loop
url, seconds = urlsplit(sys.argv[1]), float(sys.argv[2])
address, content = (url.hostname, url.port), get(url.netloc, url.path)
request = lambda _: content
runs = [
    closed_loop(address, request, connections=1, count=10),
    closed_loop(address, request, connections=1, seconds=seconds),
    open_loop(address, request, rate=2, seconds=seconds, connections=8),
]
print(json.dumps([{"latencies": run.latencies_ns, "requests": run.requests, "failures": run.failures} for run in runs]))
"""
_WEIGH = (
    'for pid in $(find /sys/fs/cgroup -path "*$0*" -name cgroup.procs -exec cat {} +); '
    "do cat /proc/$pid/stat && grep VmRSS: /proc/$pid/status; done"
)
_SETTLE_SECONDS = 60
"""What a policy's arrival makes the agents write is written within seconds; then they are at rest."""
_EXPORTED = re.compile(r"^clew_export_spans_exported_total ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Agent:
    """An agent: the node that it is on, its pod, and the container's identifier, which its cgroup's name holds."""

    node: LabNode
    pod: str
    container: str

    def weigh(self) -> Weight:
        """All its processes. Those that end while they are looked at are left out, so the last one's status is none."""
        return parse_weight(self.node.run("sh", "-c", _WEIGH, self.container, check=False).stdout)


class _Bench:
    """What stands for the length of the benchmark, and what has been found so far."""

    def __init__(self, cluster: Cluster, seconds: float, found: Found) -> None:
        self._cluster, self._seconds, self._found = cluster, seconds, found
        requests = cluster.folder / "requests.json"
        requests.write_text(without_functions(shop.POLICY.read_text()))
        self._policies: Mapping[str, Path | None] = {WITHOUT: None, REQUESTS: requests, FULL: shop.POLICY}
        self._agents = _agents(cluster)

    def round(self, number: int) -> None:
        """Measure under every state, one after the other."""
        states = list(self._policies)
        runs = {state: self._run(state) for state in (reversed(states) if number % 2 else states)}
        self._found.rounds.append(runs)

    def rest(self, minutes: float) -> None:
        """Watch the agents while nobody asks for anything."""
        self._enter(FULL)
        time.sleep(_SETTLE_SECONDS)
        before = self._weigh()
        mark = self._cluster.audit_log.stat().st_size
        time.sleep(minutes * 60)
        with self._cluster.audit_log.open("rb") as log:
            log.seek(mark)
            self._found.at_rest = agent_requests(line.decode() for line in log)
        self._found.minutes = minutes
        self._found.cpu_at_rest = {node: weight.cpu_seconds - before[node].cpu_seconds for node, weight in self._weigh().items()}
        self._found.exported = sum(float(_EXPORTED.findall(text)[0]) for text in self._metrics())

    def _run(self, state: str) -> Run:
        self._enter(state)
        before = self._weigh()
        asked = ("exec", "load", "--", "python3", "-c", _LOAD, shop.URL, str(self._seconds))
        warmed, *told = json.loads(self._cluster.kubectl(*asked).stdout)
        after = self._weigh()
        for text in self._metrics():
            for name, value in losses(text).items():
                self._found.lost[name] = max(value, self._found.lost.get(name, 0.0))
        self._found.failures += sum(one["failures"] for one in (warmed, *told))
        return Run(
            latencies={load: one["latencies"] for load, one in zip(LOADS, told, strict=True)},
            requests=sum(one["requests"] for one in (warmed, *told)),
            agents={node: Weight(end.rss_kib, end.cpu_seconds - before[node].cpu_seconds) for node, end in after.items()},
        )

    def _enter(self, state: str) -> None:
        """Have this state in force on both nodes. Each is entered from no policy, so that going there takes each time the same way."""
        self._cluster.kubectl("delete", f"--filename={shop.POLICY}", "--ignore-not-found")
        web.until(lambda: not any(_holds_policies(self._cluster, agent.node.name) for agent in self._agents))
        policy = self._policies[state]
        if policy is not None:
            began = time.monotonic()
            clew.apply(self._cluster, policy)
            self._found.steps.setdefault(f"kubectl apply to Ready: {state}", []).append(time.monotonic() - began)
        _say(f"in force: {state}")

    def _weigh(self) -> dict[str, Weight]:
        return {f"{agent.node.name}, kernel {agent.node.kernel}": agent.weigh() for agent in self._agents}

    def _metrics(self) -> list[str]:
        base = f"/api/v1/namespaces/{clew.NAMESPACE}/pods"
        return [self._cluster.kubectl("get", "--raw", f"{base}/{agent.pod}:9464/proxy/metrics").stdout for agent in self._agents]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the report and leave it in ``build/bench-cluster.md``; the exit status is 0 when every request was answered."""
    asked = _parser().parse_args(argv)
    warn_if_busy()
    found = Found()
    began = time.monotonic()
    with start_cluster() as cluster:
        start_nodes(cluster, [kernel.name for kernel in reversed(KERNELS)])
        found.steps["both nodes Ready, control plane included"] = [time.monotonic() - began]
        _say("both nodes are Ready")
        terminal = Terminal(cluster.folder / "typed", cluster.environment)
        shop.start(cluster, terminal)
        cluster.kubectl("run", "load", f"--image={load_image()}", "--restart=Never", "--command", "--", *_WAIT)
        cluster.kubectl("wait", "pod/load", "--for=condition=Ready", f"--timeout={web.PATIENCE}s")
        found.steps["helm install to Ready"] = [clew.install(terminal, _start_sink(cluster), clew.SETTINGS)]
        _say("Bookinfo and Clew run")
        bench = _Bench(cluster, asked.seconds, found)
        for number in range(asked.rounds):
            bench.round(number)
            _say(f"round {number + 1} of {asked.rounds} done")
        bench.rest(asked.minutes)
    report = render(found)
    (CHECKOUT / "build").mkdir(exist_ok=True)
    (CHECKOUT / "build/bench-cluster.md").write_text(report)
    print(report, flush=True)
    return 1 if found.failures else 0


def _start_sink(cluster: Cluster) -> str:
    """Start what takes spans and keeps none, for as long as the cluster runs; where agents send them to."""
    port = cluster.ports.collector_http
    cluster.run_beside("sink", [sys.executable, str(CHECKOUT / "bench/sink.py"), str(port)])
    return f"http://{HOST_ADDRESS}:{port}"


def _agents(cluster: Cluster) -> list[_Agent]:
    nodes = nodes_below(cluster.folder)
    query = ("get", "pods", f"--namespace={clew.NAMESPACE}", "--selector=app.kubernetes.io/component=agent", "--output=json")
    pods = {pod["spec"]["nodeName"]: pod for pod in json.loads(cluster.kubectl(*query).stdout)["items"]}
    return [
        _Agent(node, pods[name]["metadata"]["name"], pods[name]["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2])
        for name, node in nodes.items()
    ]


def _holds_policies(cluster: Cluster, node: str) -> bool:
    """Whether a node has been told of policies, or still enforces one."""
    told = clew.tracing(cluster, node)
    return any(told.get(part, {}).get("policies") for part in ("spec", "status"))


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cluster", description="Bookinfo on two nodes, with and without a policy, in turn."
    )
    parser.add_argument("--rounds", type=int, default=4, help="each round measures the loads under every state (default 4)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of one load (default 60)")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long agents are watched at rest (default 10)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
