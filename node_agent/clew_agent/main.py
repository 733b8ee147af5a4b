"""``clew-agent``: the node agent's command.

``run`` enforces policies on this node's pods: those of files (``--policy``, ``--pods``), or those that the operator has chosen
(``--cluster``). Errors that a user can mend end with one message and status 1, a wrong command line with status 2.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from clew_crds import PolicyError

from clew_agent.agent import Agent
from clew_agent.c_header import HeaderError
from clew_agent.enforcement import Enforcement
from clew_agent.enforcer import Enforcer, host_identity
from clew_agent.export.choose import CHOICES, make_exporter
from clew_agent.export.settings import SettingsError
from clew_agent.host import host_attributes
from clew_agent.inventory.parse import PodsFileError
from clew_agent.kernel.btf import VMLINUX, NoBtfError
from clew_agent.loader.load import LoadError
from clew_agent.memory import share_heap
from clew_agent.metrics import AGENT_METRICS, Metric, Metrics, kernel_metrics, read_counters_header, serve_metrics
from clew_agent.mode import Mode, ModeError, open_mode
from clew_agent.start import StartError, attach_programs, check_capabilities, only_agent, own_address

_LOG = logging.getLogger("clew.main")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if wrong := _wrong(arguments):
        parser.error(wrong)
    logging.basicConfig(stream=sys.stderr, level=arguments.log_level.upper(), format="clew-agent: %(levelname)s %(name)s: %(message)s")
    try:
        _run(arguments)
    except (StartError, ModeError, PolicyError, PodsFileError, SettingsError, NoBtfError, LoadError, HeaderError) as error:
        print(f"clew-agent: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clew-agent", description="Trace requests through the pods of this node, down into the kernel.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="enforce policies on this node's pods")
    run.add_argument("--policy", type=Path, action="append", metavar="FILE", help="TracingPolicy objects; may be repeated")
    run.add_argument("--pods", type=Path, metavar="FILE", help="the pods of this node and their peers")
    run.add_argument("--cluster", action="store_true", help="take policies and pods from the Kubernetes API instead of files")
    run.add_argument("--kubeconfig", type=Path, metavar="FILE", help="with --cluster: how to reach the API (default: as a pod does)")
    run.add_argument("--exporter", action="append", metavar="WHERE", help=f"{CHOICES}; may be repeated (default: otlp)")
    run.add_argument("--metrics-address", metavar="HOST:PORT", help="serve Prometheus metrics there")
    run.add_argument("--node", default=socket.gethostname(), metavar="NAME", help="this node's name (default: the host's)")
    run.add_argument("--node-address", type=ip_address, metavar="IP", help="this node's address, the first part of trace IDs")
    run.add_argument("--state", type=Path, default=Path("/run/clew"), metavar="DIR", help="for the agent's lock, and what was compiled")
    run.add_argument("--btf", type=Path, default=VMLINUX, metavar="FILE", help="the kernel's types")
    run.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser


def _wrong(arguments: argparse.Namespace) -> str:
    """What is wrong with the command line as a whole; empty where nothing is."""
    if arguments.cluster and (arguments.policy or arguments.pods):
        return "--cluster takes policies and pods from the Kubernetes API: leave --policy and --pods out"
    if not arguments.cluster and not (arguments.policy and arguments.pods):
        return "give --policy FILE and --pods FILE, or --cluster"
    if arguments.kubeconfig and not arguments.cluster:
        return "--kubeconfig goes with --cluster"
    return ""


def _run(arguments: argparse.Namespace) -> None:
    began = time.monotonic()
    share_heap()
    mode = open_mode(arguments)
    with only_agent(arguments.state):
        # Signals are taken from here on: an end while the programs load must end the agent, too.
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        check_capabilities()
        try:
            enforcer = attach_programs(arguments.btf, arguments.state)
        except (NoBtfError, LoadError) as error:
            mode.reporter.tell_unable(error)
            _LOG.error("nothing can be traced on this node: %s", error)
            stop.wait()
            return
        _work(arguments, mode, enforcer, stop, began)


def _work(arguments: argparse.Namespace, mode: Mode, enforcer: Enforcer, stop: threading.Event, began: float) -> None:
    exporters = [make_exporter(choice, os.environ) for choice in arguments.exporter or ["otlp"]]
    rows = kernel_metrics(read_counters_header())
    agent = Agent(
        policies=mode.policies,
        source=mode.source,
        reporter=mode.reporter,
        enforcer=enforcer,
        exporters=exporters,
        metrics=Metrics([*AGENT_METRICS, *rows.values()]),
        kernel_rows={index: row.name for index, row in rows.items()},
        host=host_identity(arguments.node_address or own_address()),
        host_attributes=host_attributes(arguments.node, os.uname().machine),
    )

    in_force = threading.Event()

    def ready(enforcement: Enforcement) -> None:
        in_force.set()
        state = f"off ({enforcer.propagation})" if enforcer.propagation else "on"
        print(
            f"clew-agent: ready after {time.monotonic() - began:.1f} s: {len(enforcement.scopes)} pods, "
            f"{len(enforcer.functions)} kernel functions, propagation {state}",
            file=sys.stderr,
            flush=True,
        )
        mode.reporter.begin(agent.count)

    stop_metrics = serve_metrics(arguments.metrics_address, agent.count, in_force.is_set) if arguments.metrics_address else None
    agent.run(stop, ready)
    mode.reporter.end()
    if stop_metrics:
        stop_metrics()
    _tell_losses(agent.count())
    enforcer.close()


def _tell_losses(counted: Mapping[Metric, int]) -> None:
    lost = {row.name: value for row, value in counted.items() if value and row.is_loss}
    if lost:
        _LOG.warning("lost: %s", ", ".join(f"{name} {value}" for name, value in sorted(lost.items())))


if __name__ == "__main__":
    sys.exit(main())
