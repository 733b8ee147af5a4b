"""What the kernel tests share: pods, one agent for all of them, an upstream that records, and what the agent tells.

Everything goes on inside a guest. An agent takes a minute or more to start under emulation, so there is one, which holds every
policy that the tests need; they are told apart by namespace. Pods are made when a test asks for them, and kept: the agent reads
its pods file again when that changes. Nothing here waits for a fixed time.
"""

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from clew_agent.capabilities import NEEDED, SYS_ADMIN, Capability
from clew_agent.fionread import has_fault
from clew_lab.agent import AgentProcess, agent_command
from clew_lab.load import response_length
from clew_lab.pods import NODE_ADDRESS, NODE_ADDRESS6, LabPod, PodNetwork

from tests.kernel.recorder import Recorder
from tests.kernel.spans import SpanFile
from tests.kernel.until import PATIENCE, until

__all__ = ["MISSPELT", "PORT", "Rig", "rig", "tell_counters"]

PORT = 8000
METRICS = "127.0.0.1:9464"
MISSPELT = "do_sys_openat3"
SERVICES = Path(__file__).with_name("services")
# `traced` looks into the kernel, and into a function that is not there; the others differ by what they say about requests.
POLICIES: Mapping[str, Mapping[str, object]] = {
    "traced": {
        "kernelFunctions": [
            {"function": "do_sys_openat2", "arguments": [{"name": "filename", "type": "UserString"}], "returns": True},
            {"function": MISSPELT},
        ]
    },
    "plain": {},
    "unsampled": {"sampling": {"ratio": "0"}},
    "ratio": {"sampling": {"ratio": "0.25"}},
    "ignoreparent": {"sampling": {"ratio": "0", "parentBased": False}},
    "limited": {"sampling": {"maxPerSecond": 5}},
    "noinject": {"propagation": {"inject": []}},
    "observed": {"sampling": {"ratio": "0"}, "propagation": {"inject": []}},
    "noextract": {"propagation": {"extract": []}},
    "http": {"spans": {"naming": "HTTP"}, "identifiers": {"layout": "Random"}},
    # test_functions.py. Both select the pods of "few": these have the functions of both, and all else from "few", whose name is first.
    "few": {
        "kernelFunctions": [
            {"function": "do_sys_openat2", "arguments": [{"index": 1, "as": "path", "type": "UserString"}], "minimumDuration": "1h"},
        ],
        "limits": {"spansPerRequest": 4},
    },
    "functions": {
        "namespaces": ["functions", "few"],
        "kernelFunctions": [
            {"function": "do_sys_openat2", "arguments": [{"name": "dfd"}, {"name": "filename", "type": "UserString"}], "returns": True},
            {"function": "do_filp_open", "arguments": [{"name": "dfd"}], "returns": True},
            {"function": "tcp_sendmsg", "arguments": [{"name": "size"}], "returns": True},
            {"function": "tcp_recvmsg", "arguments": [{"name": "len"}], "returns": True},
            {
                "function": "hrtimer_nanosleep",
                "arguments": [{"name": "rqtp"}, {"name": "mode"}, {"name": "clockid"}],
                "returns": True,
                "minimumDuration": "1s",
            },
            {"function": "__set_task_comm", "arguments": [{"name": "buf"}, {"name": "exec"}], "returns": True},
        ],
    },
    # test_swap.py, which edits it while the agent runs.
    "swapped": {},
}
_ENTER = 'echo $$ > "$0" && exec "$@"'


class Rig:
    """The network, the upstream, the collector, the agent, and the pods that tests have asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Start all but the pods; `stack` ends what is started here."""
        self.folder = folder
        self._stack = stack
        self.network = stack.enter_context(PodNetwork())
        self.upstream = Recorder(str(NODE_ADDRESS), str(NODE_ADDRESS6), folder / "upstream.sock")
        stack.callback(self.upstream.close)
        self.collector = Recorder(str(NODE_ADDRESS), str(NODE_ADDRESS6), folder / "collector.sock")
        stack.callback(self.collector.close)
        self.spans = SpanFile(folder / "spans.jsonl")
        self.pods_file = folder / "pods.json"
        self.kernel_before = kernel_objects()
        self._services: dict[tuple[str, str, str], LabPod] = {}
        self._number = 0
        self._agent_pod = self.network.pod("agent", "plain")
        self.network.write_inventory(self.pods_file)
        self.agent = self.start_agent([*NEEDED, SYS_ADMIN] if has_fault() else NEEDED)

    def start_agent(self, capabilities: Sequence[Capability]) -> AgentProcess:
        """Start an agent, in a traced pod, so that tracing itself would show, with these capabilities and no others; return it when it is
        ready."""
        environment = {
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://{}:{}".format(*self.collector.address),
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        }
        exporters = [f"file:{self.spans.path}", "otlp"]
        # Debian leaves kprobes to CAP_SYS_ADMIN; upstream's CAP_PERFMON is enough below level 3.
        Path("/proc/sys/kernel/perf_event_paranoid").write_text("2")
        argv = agent_command(self._write_policies(), self.pods_file, exporters, METRICS)
        enter = ["sh", "-c", _ENTER, str(self._agent_pod.container_path / "cgroup.procs")]
        agent = AgentProcess([*enter, *under(capabilities), *argv], environment, sys.stderr)
        self._stack.enter_context(agent)
        agent.wait_ready(600)
        return agent

    def _write_policies(self) -> list[Path]:
        return [self._write_policy(name, spec) for name, spec in POLICIES.items()]

    def _write_policy(self, name: str, spec: Mapping[str, object]) -> Path:
        """Write a policy at once as a whole: the agent may be reading."""
        path = self.folder / f"{name}.yaml"
        policy = {"apiVersion": "clew.dev/v1alpha1", "kind": "TracingPolicy", "metadata": {"name": name}}
        draft = path.with_suffix(".new")
        draft.write_text(yaml.safe_dump({**policy, "spec": {"namespaces": [name], **spec}}))
        return draft.replace(path)

    def edit(self, name: str, spec: Mapping[str, object]) -> None:
        """Change a policy while the agent runs; when this returns, it is in force."""
        before = len(self.agent.lines)
        self._write_policy(name, spec)

        def said() -> list[str]:
            return [line for line in self.agent.lines[before:] if "policies in force" in line]

        until(said, bool, lambda: f"the policies are not in force; the agent said:\n{''.join(self.agent.lines[before:])}", 300)

    def service(self, namespace: str, mode: str = "thread", *, upstream: LabPod | None = None, options: Sequence[str] = ()) -> LabPod:
        """A pod that runs the relay, traced if a policy selects its namespace. One that there is already is given again."""
        to = self.upstream.address if upstream is None else (str(upstream.address), PORT)
        key = (namespace, mode, f"{to} {options}")
        if key not in self._services:
            pod = self.pod(namespace)
            self.start(pod, "relay.py", mode, str(PORT), f"{to[0]}:{to[1]}", *options)
            pod.wait_listening(PORT)
            self._services[key] = pod
        return self._services[key]

    def pod(self, namespace: str, *, listed: bool = True) -> LabPod:
        """A pod of its own; when this returns, the agent knows it."""
        self._number += 1
        pod = self.network.pod(f"p{self._number}", namespace, listed=listed)
        if listed:
            self.list(pod)
        return pod

    def list(self, pod: LabPod) -> None:
        """Tell the agent of a pod, and wait until it has taken note."""
        pod.listed = True
        self.network.write_inventory(self.pods_file)
        if pod.namespace in POLICIES:
            self.await_said(f"pod {pod.namespace}/{pod.name} is traced")

    def start(self, pod: LabPod, service: str, *arguments: str, **options: object) -> "subprocess.Popen[str]":
        """Run one of the services in a pod."""
        return pod.popen([sys.executable, str(SERVICES / service), *arguments], text=True, **options)

    def await_said(self, text: str) -> str:
        """Wait until the agent has said something; return the line."""

        def said() -> str:
            return next((line for line in list(self.agent.lines) if text in line), "")

        return until(said, bool, lambda: f"the agent did not say {text!r} but:\n{''.join(self.agent.lines[-20:])}")

    def counters(self) -> dict[str, int]:
        """The agent's metrics, by their names without prefix and suffix."""
        with urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=PATIENCE) as response:
            lines = response.read().decode().splitlines()
        pairs = (line.split(" ") for line in lines if line.startswith("clew_"))
        return {name.removeprefix("clew_").removesuffix("_total"): int(float(value)) for name, value in pairs}

    def counters_if_there(self) -> dict[str, int]:
        """The same; nothing of an agent that a test has ended."""
        try:
            return self.counters()
        except OSError:
            return {}

    def await_counters(
        self, before: Mapping[str, int], wanted: Callable[[Mapping[str, int]], bool], patience: float = PATIENCE
    ) -> dict[str, int]:
        """Wait until what was counted since `before` is as wanted, and return it."""

        def counted() -> dict[str, int]:
            now = self.counters()
            return {name: now[name] - before[name] for name in now if now[name] != before[name]}

        return until(counted, wanted, lambda: f"counted {counted()}", patience)

    def ask(self, pod: LabPod, target: str, fields: Sequence[str] = (), body: bytes = b"", *, port: int = PORT) -> bytes:
        """Send one request to a pod, by IPv4; return the answer's body."""
        sized = [f"Content-Length: {len(body)}"] if body else []
        lines = [f"{'POST' if body else 'GET'} {target} HTTP/1.1", "Host: pod", *fields, *sized]
        message = "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body
        return self.exchange((str(pod.address), port), [message])

    @staticmethod
    def connect(pod: LabPod) -> socket.socket:
        """A connection to a pod's service, for several requests."""
        connection = socket.create_connection((str(pod.address), PORT), timeout=PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    @staticmethod
    def exchange(address: tuple[str, int], pieces: Sequence[bytes]) -> bytes:
        """Send a request in pieces, a system call and a segment each; return the answer's body."""
        with socket.create_connection(address, timeout=PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                connection.sendall(piece)
            return read_answer(connection)


def under(capabilities: Sequence[Capability]) -> list[str]:
    """How to run a command with no more capabilities than these."""
    names = [f"+{capability.name.removeprefix('CAP_').lower()}" for capability in capabilities]
    return ["setpriv", "--no-new-privs", "--bounding-set", ",".join(["-all", *names]), "--"]


def read_answer(connection: socket.socket) -> bytes:
    """Read one answer; return its body. Raises `AssertionError` for one that is not a 200."""
    received = b""
    while (length := response_length(received)) is None or len(received) < length:
        part = connection.recv(1 << 16)
        assert part, f"the service closed the connection after {received!r}"
        received += part
    assert received.startswith(b"HTTP/1.1 200 "), received
    return received.partition(b"\r\n\r\n")[2]


def kernel_objects() -> dict[str, list[str]]:
    """What BPF there is in the kernel: programs, maps and links, and the programs that are attached to cgroups."""
    found = {kind: sorted(f"{item['id']} {item.get('name', '')}" for item in bpftool(kind, "show")) for kind in ("prog", "map", "link")}
    return {**found, "cgroup": sorted(str(item) for item in bpftool("cgroup", "tree") if item.get("programs"))}


def bpftool(*arguments: str) -> list[dict[str, Any]]:
    """What bpftool says, as JSON. Raises ``CalledProcessError``."""
    text = subprocess.run(["bpftool", "-j", *arguments], check=True, capture_output=True, text=True).stdout
    found = json.loads(text or "[]")
    return found if isinstance(found, list) else [found]


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The rig of this guest."""
    with ExitStack() as stack:
        yield Rig(tmp_path_factory.mktemp("rig"), stack)


@pytest.fixture(autouse=True)
def tell_counters(request: pytest.FixtureRequest) -> Iterator[None]:
    """Say what was counted during a test: where one fails, that tells what became of a request that is missing."""
    if "rig" not in request.fixturenames:
        yield
        return
    shared: Rig = request.getfixturevalue("rig")
    before = shared.counters_if_there()
    yield
    now = shared.counters_if_there()
    print("counted:", {name: now[name] - before.get(name, 0) for name in now if now[name] != before.get(name)}, file=sys.stderr)
