"""The demo: four services that know nothing of tracing, one policy, and the traces that come of it.

:func:`main` on the host boots a guest and runs this module again in there (``--inside``); the part inside plays the cluster: pods,
services, the agent, a client. Traces are printed as waterfalls and left in ``build/demo.html`` and ``build/demo.jsonl``. The demo
judges its own traces (:mod:`clew_lab.traces`) and fails when not one of them is whole.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from clew_lab import bookinfo
from clew_lab.agent import AgentError, AgentProcess, agent_command
from clew_lab.config import KERNELS
from clew_lab.guest import GuestOptions
from clew_lab.host import HostUnready
from clew_lab.image import CHECKOUT, ImageMissing
from clew_lab.load import LoadError, closed_loop, get
from clew_lab.pods import NODE_ADDRESS, PodError, PodNetwork
from clew_lab.run import run_command
from clew_lab.traces import INTERNAL, TraceSpan, read_spans, trace_faults, traces_by_id

__all__ = ["CALLS", "main", "verdict"]

CALLS = {"productpage": "", "details": "productpage", "reviews": "productpage", "ratings": "reviews"}
"""Who calls each service of the application; nobody in it calls the product page."""

_LIMIT_SECONDS = 900.0


class DemoError(RuntimeError):
    """The demo did not show what it is there to show."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when at least one whole trace was seen."""
    asked = _parser().parse_args(argv)
    try:
        return _inside(asked.requests, asked.show) if asked.inside else _outside(asked)
    except (AgentError, DemoError, HostUnready, ImageMissing, LoadError, PodError) as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as problem:
        print(f"demo: `{' '.join(map(str, problem.cmd))}` failed with status {problem.returncode}", file=sys.stderr)
        return 1


def verdict(spans: Sequence[TraceSpan], requests: int) -> tuple[list[str], list[str]]:
    """Identifiers of the whole traces, oldest first, and what to say about all of them, a line each."""
    traces = traces_by_id(spans)
    faults = {identifier: trace_faults(trace, CALLS) for identifier, trace in traces.items()}
    whole = [identifier for identifier, found in faults.items() if not found]
    kernel = sum(span.kind == INTERNAL for identifier in whole for span in traces[identifier])
    lines = [
        f"{requests} requests, {len(traces)} traces, {len(spans)} spans; "
        f"{len(whole)} traces are whole: all of {', '.join(CALLS)}, with {kernel} kernel-function spans inside"
    ]
    counted = Counter(fault for found in faults.values() for fault in found)
    lines += [f"  {count} times: {fault}" for fault, count in counted.most_common(10)]
    return whole, lines


def _outside(asked: argparse.Namespace) -> int:
    """The host's part: make the lab ready, boot a guest, and run the part inside."""
    from clew_lab.main import setup

    image = setup()
    _Clock().say(f"booting kernel {image.kernels[asked.kernel]} (emulated: everything takes about ten times as long as on hardware)")
    command = ["python", "-m", "clew_lab.demo", "--inside", f"--requests={asked.requests}", f"--show={asked.show}"]
    return run_command(image, GuestOptions(asked.kernel), command, _LIMIT_SECONDS)


def _inside(requests: int, show: int) -> int:
    """The guest's part."""
    clock = _Clock()
    build = CHECKOUT / "build"
    build.mkdir(exist_ok=True)
    spans_file, page = build / "demo.jsonl", build / "demo.html"
    for old in (spans_file, page):
        old.unlink(missing_ok=True)
    sources = CHECKOUT / "examples/bookinfo"
    clock.say("compiling the Java service (kept for the next time)")
    classes = bookinfo.compile_reviews(sources, build / "bookinfo")
    with ExitStack() as stack:
        log = stack.enter_context((build / "demo-services.log").open("w"))
        network = stack.enter_context(PodNetwork())
        clock.say("starting productpage (Python), details (Ruby), reviews (Java), ratings (Node.js), a pod each")
        pods = bookinfo.start(network, sources, classes, log)
        address = (str(pods["productpage"].address), bookinfo.PORT)
        request = get("productpage", "/productpage?id=0", close=True)
        clock.say("services are up; one request that is not traced, to warm them up")
        closed_loop(address, lambda _: request, connections=1, count=1)
        inventory = network.write_inventory(Path("/tmp/pods.json"))
        clock.say("starting clew-agent with examples/bookinfo.yaml")
        argv = agent_command([CHECKOUT / "examples/bookinfo.yaml"], inventory, [f"file:{spans_file}"])
        argv += ["--node", "lab", "--node-address", str(NODE_ADDRESS)]
        agent = stack.enter_context(AgentProcess(argv, echo=sys.stderr))
        clock.say(f"probes attached {agent.wait_ready():.1f} s after the agent's start; sending {requests} requests")
        result = closed_loop(address, lambda _: request, connections=1, count=requests)
        clock.say(f"{result.requests} requests, {result.failures} of them failed")
        status = agent.stop()
        clock.say(f"agent stopped with status {status}")
    if status != 0 or result.failures:
        raise DemoError(f"agent's status {status}, {result.failures} failed requests; services' output: build/demo-services.log")
    return _show(spans_file, page, requests, show)


def _show(spans_file: Path, page: Path, requests: int, show: int) -> int:
    with spans_file.open() as lines:
        spans = read_spans(lines)
    whole, said = verdict(spans, requests)
    for identifier in whole[-show:]:
        _clew("waterfall", str(spans_file), "--trace", identifier)
        print(flush=True)
    _clew("waterfall", str(spans_file), "--html", str(page))
    print("\n".join(said))
    print(f"All traces: {page.relative_to(CHECKOUT)} (open it in a browser), {spans_file.relative_to(CHECKOUT)}", flush=True)
    if not whole:
        raise DemoError("no trace spans all four services")
    return 0


def _clew(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "clew_cli.main", *arguments], check=True)


class _Clock:
    """Says what is being done, and how many seconds after the start."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._begun:6.1f} s] {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clew-lab demo", description="Four services, one policy, traces down into the kernel.")
    parser.add_argument("--kernel", choices=[kernel.name for kernel in KERNELS], default="6.1")
    parser.add_argument("--requests", type=int, default=10, help="how many requests the client sends (default 10)")
    parser.add_argument("--show", type=int, default=2, help="how many of the traces to print (default 2)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
