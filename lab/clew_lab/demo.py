"""The demo: a cluster of two real nodes, Clew by its own chart, Bookinfo as pods on both, one policy, and the traces that come of it.

What a user would type is printed before it is run. The traces arrive in Jaeger by OTLP; they are asked for there, printed as waterfalls,
and left in ``build/demo.html`` and ``build/demo.jsonl``. The demo judges them (:mod:`clew_lab.pages`), and fails when none is whole.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from clew_lab.backends.beside import start_jaeger
from clew_lab.backends.query import StoredSpan, spans_in
from clew_lab.backends.running import Jaeger
from clew_lab.cluster import Cluster, ClusterError, start_cluster
from clew_lab.config import KERNELS
from clew_lab.host import HostUnready
from clew_lab.image import CHECKOUT, ImageMissing
from clew_lab.images.bookinfo import load_image
from clew_lab.nodes import clocks
from clew_lab.nodes.machine import nodes_below
from clew_lab.nodes.starting import start_nodes
from clew_lab.pages import nodes_of, page_faults, pages
from clew_lab.store import NotBuilt
from clew_lab.traces import INTERNAL

__all__ = ["main", "typed", "verdict"]

_TRACES_SECONDS = 60.0
_LOOK_SECONDS = 1.0
_SPANS, _PAGE = CHECKOUT / "build/demo.jsonl", CHECKOUT / "build/demo.html"
_URL = "http://productpage.bookinfo:9080/productpage"
_REQUESTS = 10
_PATIENCE = "--timeout=600s"
_SETTINGS = ("--set", "agent.sysAdmin=true,operator.replicas=1", "--set", "otlp.endpoint=http://jaeger.observability:4318")
_INSTALL: Sequence[Sequence[str]] = (
    ("helm", "install", "clew", "charts/clew", "-n", "clew-system", "--create-namespace", *_SETTINGS),
    ("kubectl", "apply", "-k", "examples/bookinfo/manifests"),
    ("kubectl", "wait", "-n", "bookinfo", "deployments", "--all", "--for=condition=Available", _PATIENCE),
    ("kubectl", "rollout", "status", "-n", "clew-system", "daemonset/clew-agent", _PATIENCE),
)
_TRACE: Sequence[Sequence[str]] = (
    ("kubectl", "apply", "-f", "examples/bookinfo.yaml"),
    ("kubectl", "wait", "-f", "examples/bookinfo.yaml", "--for=condition=Ready", _PATIENCE),
    ("kubectl", "get", "tracingpolicies.clew.dev"),
)


class DemoError(RuntimeError):
    """The demo did not show what it is there to show."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when at least one whole trace over both nodes was seen."""
    asked = _parser().parse_args(argv)
    clock = _Clock()
    kernels = [kernel.name for kernel in reversed(KERNELS)]
    try:
        clock.say(f"a control plane and two nodes, kernels {' and '.join(kernels)} (emulated: all takes ten times as long as on hardware)")
        with start_cluster() as cluster:
            start_nodes(cluster, kernels)
            jaeger = start_jaeger(cluster)
            clock.say("both nodes are Ready; Jaeger takes OTLP at http://jaeger.observability:4318")
            _play(cluster, clock, asked.requests)
            whole = _judge(jaeger, cluster, asked.requests)
            clock.say(f"{len(whole)} whole traces have arrived")
        _show(whole, asked.show)
    except (ClusterError, DemoError, HostUnready, ImageMissing, NotBuilt, OSError) as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as problem:
        said = f"\n{problem.stderr}" if problem.stderr else ""
        print(f"demo: `{' '.join(map(str, problem.cmd))}` failed with status {problem.returncode}{said}", file=sys.stderr)
        return 1
    return 0


def typed() -> list[str]:
    """Return all that the demo types, in this order, if nothing else is asked for."""
    return [" ".join(argv) for argv in (*_INSTALL, *_TRACE, _load(_REQUESTS))]


def verdict(traces: Mapping[str, Sequence[StoredSpan]], requests: int, clocks_ns: int) -> tuple[list[str], list[str]]:
    """Identifiers of the whole traces, oldest first, and what to say about all of them, a line each."""
    faults = {trace: page_faults(spans, clocks_ns) for trace, spans in traces.items()}
    whole = sorted((trace for trace, found in faults.items() if not found), key=lambda trace: traces[trace][0].start)
    crossing = sum(len(nodes_of(traces[trace])) > 1 for trace in whole)
    kernel = sum(span.kind == INTERNAL for trace in whole for span in traces[trace])
    lines = [
        f"{requests} requests, {len(traces)} traces; {len(whole)} are whole, from productpage to the last service it asked, "
        f"{crossing} of them over both nodes, with {kernel} kernel-function spans inside"
    ]
    counted = Counter(fault for found in faults.values() for fault in found)
    lines += [f"  {count} times: {fault}" for fault, count in counted.most_common(10)]
    return whole, lines


def _play(cluster: Cluster, clock: _Clock, requests: int) -> None:
    """What a user does: install, deploy, trace, and see it go out; then requests come."""
    _type(cluster, *_INSTALL)
    clock.say("Clew and Bookinfo run; nothing is traced yet")
    _type(cluster, *_TRACE)
    clock.say(f"the policy is in force on both nodes; {requests} requests")
    _type(cluster, _load(requests))


def _load(requests: int) -> Sequence[str]:
    rate = ("--rate", "1", "--seconds", str(requests), "--close")
    return ("kubectl", "run", "load", f"--image={load_image()}", "--restart=Never", "--attach", "--rm", "--quiet", "--", _URL, *rate)


def _judge(jaeger: Jaeger, cluster: Cluster, requests: int) -> list[str]:
    """Wait until the traces have arrived, keep them, and say what they are worth; the whole ones over both nodes.

    Raises :class:`DemoError` when there is none.
    """
    apart = sum(clocks.measure(node.port).most_ns for node in nodes_below(cluster.folder).values())
    deadline = time.monotonic() + _TRACES_SECONDS
    while True:
        answer = jaeger.query.answer("productpage")
        found = pages(spans_in(answer))
        whole, said = verdict(found, requests, apart)
        if len(whole) >= requests or time.monotonic() > deadline:
            break
        time.sleep(_LOOK_SECONDS)
    _SPANS.parent.mkdir(exist_ok=True)
    _SPANS.write_text(json.dumps(_only(json.loads(answer)["result"], found.keys())) + "\n")
    print("\n".join(said), flush=True)
    crossing = [trace for trace in whole if len(nodes_of(found[trace])) > 1]
    if not crossing:
        raise DemoError("no whole trace goes over both nodes")
    return crossing


def _only(document: Mapping[str, Any], traces: Collection[str]) -> Mapping[str, Any]:
    """An OTLP document with the spans of these traces alone: others are those of the kubelet's probes."""
    groups = []
    for group in document["resourceSpans"]:
        scopes = [{**one, "spans": [span for span in one["spans"] if span["traceId"] in traces]} for one in group["scopeSpans"]]
        groups.append({**group, "scopeSpans": scopes})
    return {"resourceSpans": groups}


def _show(whole: Sequence[str], show: int) -> None:
    for identifier in whole[-show:]:
        print()
        _clew("waterfall", str(_SPANS), "--trace", identifier)
    _clew("waterfall", str(_SPANS), "--html", str(_PAGE))
    print(f"\nAll traces as a page: {_PAGE.as_uri()}", flush=True)


def _type(cluster: Cluster, *commands: Sequence[str]) -> None:
    """Print each command as it would be typed, and run it."""
    for argv in commands:
        print(f"$ {' '.join(argv)}", flush=True)
        subprocess.run(argv, cwd=CHECKOUT, env=cluster.environment, check=True)


def _clew(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "clew_cli.main", *arguments], check=True, env=os.environ)


class _Clock:
    """Says what is being done, and how many seconds after the start."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._begun:6.1f} s] {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clew-lab demo", description="Two nodes, four services, one policy, traces down into the kernel.")
    parser.add_argument("--requests", type=int, default=_REQUESTS, help=f"how many requests are sent (default {_REQUESTS})")
    parser.add_argument("--show", type=int, default=1, help="how many of the traces to print (default 1)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
