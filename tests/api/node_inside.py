"""Inside a lab guest that is a node: does what a test on the host asks for, one thing after the other (`tests/api/node.py`).

`node_inside.py PORT` connects to the host. Each line from there is a JSON object, `{"do": NAME, …}`; each is answered by one,
`{"result": …}` or `{"error": …}`. The pods are those of the kernel tests: a cgroup where the kubelet would have made it, a network
namespace, and the relay in it.
"""

import json
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from clew_lab.agent import AgentProcess, resident_kib
from clew_lab.guest import HOST_ADDRESS
from clew_lab.load import response_length
from clew_lab.pods import LabPod, PodNetwork

from tests.kernel.rig import kernel_objects, under_capabilities

ACCOUNT = Path("/run/secrets/kubernetes.io/serviceaccount")
PORT = 8000
RELAY = Path(__file__).parents[1] / "kernel/services/relay.py"


class Node:
    """What there is on this node."""

    def __init__(self, network: PodNetwork) -> None:
        self._network = network
        self._pods: dict[str, LabPod] = {}
        self._agent: AgentProcess | None = None

    def start_agent(self, arguments: list[str], environment: dict[str, str], token: str, authority: str) -> float:
        """Start the agent as its pod does: by the chart's command line, with a service account's files; the seconds until it was ready."""
        ACCOUNT.mkdir(parents=True, exist_ok=True)
        (ACCOUNT / "token").write_text(token)
        (ACCOUNT / "ca.crt").write_text(authority)
        argv = [*under_capabilities(), sys.executable, "-m", "clew_agent.main", "run", "--cluster", *arguments]
        self._agent = AgentProcess(argv, environment, sys.stderr)
        return self._agent.wait_ready(600)

    def stop_agent(self) -> int:
        """End the agent as the kubelet does; its exit status."""
        assert self._agent is not None
        return self._agent.stop()

    def resident_kib(self) -> int:
        """The agent's resident memory."""
        assert self._agent is not None
        return resident_kib(self._agent.pid)

    def pod(self, name: str, namespace: str, uid: str, upstream: str) -> list[str]:
        """Run a pod of the API server's, which asks another one (or none); its addresses."""
        pod = self._pods[name] = self._network.pod(name, namespace, uid=uid)
        to = self._pods[upstream].address if upstream else pod.address
        pod.popen([sys.executable, str(RELAY), "thread", str(PORT), f"{to}:{PORT}"])
        pod.wait_listening(PORT)
        return [str(pod.address), str(pod.address6)]

    def ask(self, pod: str, target: str) -> str:
        """Send a request from the node to a pod; the answer's body."""
        with socket.create_connection((str(self._pods[pod].address), PORT), timeout=60) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: pod\r\n\r\n".encode())
            received = b""
            while (length := response_length(received)) is None or len(received) < length:
                part = connection.recv(1 << 16)
                assert part, f"the pod closed the connection after {received!r}"
                received += part
        return received.partition(b"\r\n\r\n")[2].decode()

    def kernel(self) -> dict[str, list[str]]:
        """What BPF there is in the kernel."""
        return kernel_objects()


def main() -> None:
    Path("/proc/sys/kernel/perf_event_paranoid").write_text("2")
    with PodNetwork() as network, socket.create_connection((HOST_ADDRESS, int(sys.argv[1]))) as connection:
        node, stream = Node(network), connection.makefile("rw")
        for line in stream:
            asked: dict[str, Any] = json.loads(line)
            try:
                answer = {"result": getattr(node, asked.pop("do"))(**asked)}
            except Exception:
                answer = {"error": traceback.format_exc()}
            stream.write(json.dumps(answer) + "\n")
            stream.flush()


if __name__ == "__main__":
    main()
