"""The whole way once: two traced services, one calling the other, asked from outside; one trace comes out, kernel calls included."""

import json
import sys
import time
from pathlib import Path

import pytest
from clew_lab.agent import AgentProcess, agent_command
from clew_lab.pods import LabPod, PodNetwork
from clew_lab.traces import CLIENT, INTERNAL, SERVER, TraceSpan, read_spans

SERVICE = Path(__file__).with_name("services") / "caller.py"
POLICY = """
apiVersion: clew.dev/v1alpha1
kind: TracingPolicy
metadata: {name: traced}
spec:
  namespaces: [traced]
  sampling: {ratio: "1"}
  kernelFunctions:
    - function: tcp_recvmsg
      arguments: [{name: len}]
      returns: true
"""


def _ask(client: LabPod, target: str) -> str:
    code = f"import urllib.request as u; print(u.urlopen('{target}', timeout=60).read().decode())"
    done = client.run([sys.executable, "-c", code], timeout=120)
    return str(done.stdout).strip()


def _await_spans(path: Path, enough: int, seconds: float = 60) -> list[TraceSpan]:
    end = time.monotonic() + seconds
    while True:
        spans = read_spans(path.read_text().splitlines()) if path.exists() else []
        if sum(span.kind != INTERNAL for span in spans) >= enough:
            return spans
        assert time.monotonic() < end, f"{len(spans)} spans came: {spans}"
        time.sleep(0.2)  # a poll: the file has no event to wait for


@pytest.mark.limit(900)
def test_one_trace_over_two_services(tmp_path: Path) -> None:
    policy, spans_file = tmp_path / "policy.yaml", tmp_path / "spans.jsonl"
    policy.write_text(POLICY)
    with PodNetwork() as network:
        front, back = network.pod("front", namespace="traced"), network.pod("back", namespace="traced")
        outside = network.pod("outside", namespace="other", listed=False)
        back.popen([sys.executable, str(SERVICE), "8000"])
        back.wait_listening(8000)
        front.popen([sys.executable, str(SERVICE), "8000", f"{back.address}:8000"])
        front.wait_listening(8000)
        command = agent_command([policy], network.write_inventory(tmp_path / "pods.json"), [f"file:{spans_file}"])
        with AgentProcess(command) as agent:
            agent.wait_ready(600)
            answer = _ask(outside, f"http://{front.address}:8000/first")
            # The request from outside carried no context; the one between the services did.
            own, seen = answer.split(" ")
            spans = _await_spans(spans_file, 3)
            assert agent.stop() == 0
    requests = {(span.kind, span.name): span for span in spans if span.kind != INTERNAL}
    root = requests[SERVER, "server:front->NONE"]
    call = requests[CLIENT, "client:front->back"]
    leaf = requests[SERVER, "server:back->front"]
    assert (own, seen) == ("none", f"00-{root.trace}-{call.span}-01")
    assert [root.parent, call.parent, leaf.parent] == ["", root.span, call.span]
    assert {span.trace for span in requests.values()} == {root.trace}
    calls = [span for span in spans if span.kind == INTERNAL]
    assert {span.name for span in calls} == {"tcp_recvmsg"}
    assert {span.parent for span in calls} <= {root.span, leaf.span}
    assert json.loads(spans_file.read_text().splitlines()[0])["resourceSpans"]
