"""``clew-agent``: the node agent's command.

``run`` enforces policy files on the pods of an inventory file. Errors that a user can mend end with one message and status 1, a
wrong command line with status 2.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from clew_crds import PolicyError, TracingPolicy, load_policies

from clew_agent import capabilities
from clew_agent.agent import Agent
from clew_agent.c_header import HeaderError
from clew_agent.enforcement import Enforcement, function_requests
from clew_agent.enforcer import Enforcer, attach, host_identity
from clew_agent.export.choose import CHOICES, make_exporter
from clew_agent.export.settings import SettingsError
from clew_agent.fionread import has_fault
from clew_agent.inventory.parse import PodsFileError
from clew_agent.inventory.static import StaticInventory
from clew_agent.kernel.btf import VMLINUX, NoBtfError, read_vmlinux
from clew_agent.kernel.features import Answer, Finding, examine, read_facts
from clew_agent.loader.handover import LoadError
from clew_agent.metrics import AGENT_METRICS, Metric, Metrics, kernel_metrics, read_counters_header, serve_metrics
from clew_agent.model import Address

_LOG = logging.getLogger("clew.main")


class StartError(RuntimeError):
    """The agent cannot start here; the message says why and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=arguments.log_level.upper(), format="clew-agent: %(levelname)s %(name)s: %(message)s")
    try:
        _run(arguments)
    except (StartError, PolicyError, PodsFileError, SettingsError, NoBtfError, LoadError, HeaderError) as error:
        print(f"clew-agent: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clew-agent", description="Trace requests through the pods of this node, down into the kernel.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="enforce policies on the pods of an inventory file")
    run.add_argument("--policy", type=Path, action="append", required=True, metavar="FILE", help="TracingPolicy objects; may be repeated")
    run.add_argument("--pods", type=Path, required=True, metavar="FILE", help="the pods of this node and their peers")
    run.add_argument("--exporter", action="append", metavar="WHERE", help=f"{CHOICES}; may be repeated (default: otlp)")
    run.add_argument("--metrics-address", metavar="HOST:PORT", help="serve Prometheus metrics there")
    run.add_argument("--node", default=socket.gethostname(), metavar="NAME", help="this node's name (default: the host's)")
    run.add_argument("--node-address", type=ip_address, metavar="IP", help="this node's address, the first part of trace IDs")
    run.add_argument("--state", type=Path, default=Path("/run/clew"), metavar="DIR", help="where the lock is that keeps a second agent off")
    run.add_argument("--btf", type=Path, default=VMLINUX, metavar="FILE", help="the kernel's types")
    run.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser


def _run(arguments: argparse.Namespace) -> None:
    began = time.monotonic()
    policies = [policy for path in arguments.policy for policy in load_policies(path)]
    source = StaticInventory(arguments.pods, arguments.node)
    _check_capabilities()
    with _only_agent(arguments.state):
        # Signals are taken from here on: an end while the programs load must end the agent, too.
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        enforcer = _attach(arguments.btf, policies)
        exporters = [make_exporter(choice, os.environ) for choice in arguments.exporter or ["otlp"]]
        rows = kernel_metrics(read_counters_header())
        agent = Agent(
            policies=policies,
            source=source,
            enforcer=enforcer,
            exporters=exporters,
            metrics=Metrics([*AGENT_METRICS, *rows.values()]),
            kernel_rows={index: row.name for index, row in rows.items()},
            host=host_identity(arguments.node_address or _own_address()),
            host_attributes={"k8s.node.name": arguments.node, "host.name": arguments.node},
        )

        def ready(enforcement: Enforcement) -> None:
            state = f"off ({enforcer.propagation})" if enforcer.propagation else "on"
            print(
                f"clew-agent: ready after {time.monotonic() - began:.1f} s: {len(enforcement.scopes)} pods, "
                f"{len(enforcer.generated.hooks)} kernel functions, propagation {state}",
                file=sys.stderr,
                flush=True,
            )

        stop_metrics = serve_metrics(arguments.metrics_address, agent.count) if arguments.metrics_address else None
        agent.run(stop, ready)
        if stop_metrics:
            stop_metrics()
        _tell_losses(agent.count())
        enforcer.close()


def _check_capabilities() -> None:
    lacking = capabilities.missing(capabilities.own_effective())
    if lacking:
        raise StartError(capabilities.refusal(lacking))


@contextlib.contextmanager
def _only_agent(state: Path) -> Iterator[None]:
    """Hold the lock that one agent a node may hold; it goes with the process. Raises :class:`StartError`."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = os.open(state / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StartError(f"cannot make the lock file in {state}: {error.strerror}; choose another folder with --state") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
            raise StartError(f"another agent runs on this node (process {holder}); there can be only one") from None
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def _attach(btf_path: Path, policies: Sequence[TracingPolicy]) -> Enforcer:
    btf = read_vmlinux(btf_path)
    requests, unsupported = function_requests(policies)
    admin = not capabilities.missing(capabilities.own_effective(), [capabilities.SYS_ADMIN])
    facts = examine(read_facts(btf, admin=admin))
    propagation, correct = "", False
    if has_fault():
        propagation = _why_not_corrected(facts, admin=admin)
        correct = not propagation
    enforcer = attach(
        btf,
        requests,
        os.uname().release,
        fentry=facts["fentry"].answer is not Answer.NO,
        no_kprobes=facts["kprobe"].detail,
        correct_fionread=correct,
        propagation=propagation,
    )
    for problem in [*unsupported, *enforcer.generated.problems]:
        _LOG.error("%s: %s", problem.reason, problem.message)
    return enforcer


def _why_not_corrected(facts: Mapping[str, Finding], *, admin: bool) -> str:
    """Why FIONREAD stays wrong for sockets in a sockhash, and so propagation off; empty where it can be corrected."""
    fault = "this kernel answers FIONREAD with 0 for sockets in a sockhash (upstream commit 929e30f93125)"
    if not admin:
        return f"{fault}, and the agent lacks {capabilities.SYS_ADMIN.name} {capabilities.SYS_ADMIN.reason}"
    if facts["user-writes"].answer is not Answer.YES:
        return f"{fault}, and it cannot be corrected: {facts['user-writes'].detail}"
    return ""


def _own_address() -> Address:
    """The address from which this node would speak to others; loopback where there is no route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: nothing is sent
        except OSError:
            return ip_address("127.0.0.1")
        return ip_address(probe.getsockname()[0])


def _tell_losses(counted: Mapping[Metric, int]) -> None:
    lost = {row.name: value for row, value in counted.items() if value and ("dropped" in row.name or "full" in row.name)}
    if lost:
        _LOG.warning("lost: %s", ", ".join(f"{name} {value}" for name, value in sorted(lost.items())))


if __name__ == "__main__":
    sys.exit(main())
