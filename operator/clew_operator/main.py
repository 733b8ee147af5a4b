"""``clew-operator``: the operator's command.

``run`` works until it is told to end, in a cluster by its service account or outside of one by a kubeconfig. Errors that a user can
mend end with one message and status 1, a wrong command line with status 2.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clew_crds.values import parse_duration

from clew_operator import health, logs
from clew_operator.client import Api, ApiError, ConnectionSettingsError, Fault, load_configuration, own_identity, own_namespace
from clew_operator.clock import SteadyClock
from clew_operator.events import Events
from clew_operator.keys import KeyQueue
from clew_operator.kinds import Kind
from clew_operator.knowledge import Knowledge
from clew_operator.leader import LEASE, Election, Leader
from clew_operator.look import Look
from clew_operator.loop import Loop
from clew_operator.metrics import Metrics
from clew_operator.planning.plan import plan
from clew_operator.watches import Watches, connection_of
from clew_operator.writer import AT_ONCE, Writer

_LOG = logging.getLogger("clew.main")
_SECOND = 10**9


class StartError(RuntimeError):
    """The operator cannot start; the message says why and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        configuration = load_configuration(arguments.kubeconfig)
        logs.set_up(arguments.log_level)
        return _run(arguments, configuration)
    except (StartError, ConnectionSettingsError) as error:
        print(f"clew-operator: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clew-operator", description="Roll TracingPolicy objects out, node by node.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="work until SIGTERM or SIGINT")
    run.add_argument("--kubeconfig", type=Path, metavar="FILE", help="how to reach the API server (default: the pod's service account)")
    run.add_argument("--namespace", metavar="NAME", help="where the leader's Lease lives (default: the pod's namespace, else default)")
    run.add_argument("--metrics-address", metavar="HOST:PORT", help="serve Prometheus metrics there, as /metrics")
    run.add_argument("--health-address", metavar="HOST:PORT", help="serve /healthz and /readyz there")
    run.add_argument(
        "--lease-duration",
        type=_seconds(2, 300),
        default=15,
        metavar="DURATION",
        help="how long a silent leader stays leader (default: 15s)",
    )
    run.add_argument(
        "--resync", type=_seconds(10, 86400), default=600, metavar="DURATION", help="how often everything is read anew (default: 10m)"
    )
    run.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser


def _seconds(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            nanoseconds = parse_duration(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f'{error}; "15s" and "10m" are durations') from error
        if nanoseconds % _SECOND or not low <= nanoseconds // _SECOND <= high:
            raise argparse.ArgumentTypeError(f"{text} is not allowed: whole seconds from {low}s to {high}s")
        return nanoseconds // _SECOND

    return parse


def _run(arguments: argparse.Namespace, configuration: Any) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    identity = own_identity()
    api = Api(configuration, connections=AT_ONCE + 4)
    queue, clock = KeyQueue(), SteadyClock()
    metrics, knowledge = Metrics(queue.age), Knowledge(queue)
    namespace = arguments.namespace or own_namespace() or "default"
    leader = Leader(api, namespace, Election(identity, arguments.lease_duration), lambda: queue.put((Kind.LEASE.kind, LEASE)))
    writer = Writer(api, leader, knowledge, metrics)
    look = Look(knowledge, plan, writer, Events(api, leader, metrics, identity, clock), metrics, clock)
    loop = Loop(queue, leader, api, knowledge, look, metrics, arguments.resync)
    watches = Watches(knowledge, lambda: connection_of(load_configuration(arguments.kubeconfig)), metrics)
    with contextlib.ExitStack() as servers:
        for address, pages in _pages(arguments, queue, leader, loop, metrics):
            try:
                servers.callback(health.serve(address, pages))
            except (ValueError, OSError) as error:
                raise StartError(f"cannot serve on {address}: {error}") from error
        _LOG.info("begins", extra={"identity": identity, "namespace": namespace})
        if not _kinds_served(api, stop):
            return 0
        for part in (watches, leader, loop):
            part.start()
        while not stop.wait(1) and loop.alive():
            pass
        # In this order: nothing new is sent, what is under way ends, and only then another replica may lead.
        writer.end()
        loop.stop()
        writer.close()
        leader.stop()
        watches.stop(2.0)
        _LOG.info("ended")
    return 0 if stop.is_set() else 1


def _pages(
    arguments: argparse.Namespace, queue: KeyQueue, leader: Leader, loop: Loop, metrics: Metrics
) -> list[tuple[str, dict[str, health.Page]]]:
    pages: list[tuple[str, dict[str, health.Page]]] = []
    if arguments.metrics_address:
        pages.append((arguments.metrics_address, {"/metrics": lambda: (200, *metrics.exposition())}))
    if arguments.health_address:
        ready = health.readiness(leader.in_touch, lambda: leader.term() is not None, loop.complete)
        pages.append((arguments.health_address, {"/healthz": health.liveness(queue.age), "/readyz": ready}))
    return pages


def _kinds_served(api: Api, stop: threading.Event) -> bool:
    """Wait until the API server knows Clew's kinds; False when the operator is to end before that."""
    told = ""
    for kind in (Kind.POLICY, Kind.REVISION, Kind.TRACING):
        while True:
            try:
                api.list(kind)
            except ApiError as error:
                hint = "; apply the CustomResourceDefinitions of crds/" if error.fault is Fault.MISSING else ""
                if str(error) != told:
                    told = str(error)
                    _LOG.warning("waits for the API server", extra={"resource": kind.plural, "error": f"{told}{hint}"})
                if stop.wait(1):
                    return False
            else:
                break
    return True


if __name__ == "__main__":
    sys.exit(main())
