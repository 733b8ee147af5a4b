"""The quick start, and what runbooks tell to look at, typed on a control plane with the real operator and simulated agents.

What needs a kubelet, such as `kubectl logs`, is typed in tests/cluster/test_docs.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml
from clew_lab.agents import running_agents
from clew_lab.cluster import Cluster

from tests.api.installed import NAMESPACE
from tests.api.operators import Rig, rig
from tests.api.stage import kernels
from tests.docs import quickstart
from tests.docs.commands import pages
from tests.docs.terminal import Terminal

NODES = ("node-a", "node-b")


@dataclass(frozen=True, slots=True)
class Traced:
    """A cluster after the quick start."""

    rig: Rig
    terminal: Terminal


@pytest.fixture(scope="module")
def traced(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    terminal = Terminal(tmp_path_factory.mktemp("reader"), cluster.environment)
    cluster.add_nodes(NODES)
    quickstart.install(terminal, "http://otel-collector.observability:4318")
    with rig(cluster) as running, running_agents(cluster.kubeconfig, kernels=kernels(cluster)):
        running.start_operator("--namespace", NAMESPACE)
        quickstart.trace(terminal)
        yield Traced(running, terminal)
        quickstart.leave(terminal)
        assert running.told("bookinfo") == {}


def test_the_pods_that_alerts_speak_of(traced: Traced) -> None:
    terminal = traced.terminal
    terminal.run(f"kubectl --namespace {NAMESPACE} rollout status daemonset/clew-agent deployment/clew-operator --timeout=60s")
    agents = terminal.documented(
        "kubectl --namespace clew-system get pods --selector app.kubernetes.io/component=agent --field-selector spec.nodeName=NODE",
        {"NODE": "node-b"},
    )
    assert [line.split("-")[1] for line in agents.splitlines()[1:]] == ["agent"]
    operators = terminal.documented("kubectl --namespace clew-system get pods --selector app.kubernetes.io/component=operator")
    assert [line.split("-")[1] for line in operators.splitlines()[1:]] == ["operator", "operator"]
    pod = agents.splitlines()[1].split()[0]
    assert "clew-agent" in terminal.documented("kubectl --namespace clew-system describe pod POD", {"POD": pod})


def test_who_leads(traced: Traced) -> None:
    lease = yaml.safe_load(traced.terminal.documented("kubectl --namespace clew-system get lease clew-operator --output yaml"))
    assert {"holderIdentity", "renewTime"} <= lease["spec"].keys()


def test_where_a_policy_stands(traced: Traced) -> None:
    shown = traced.terminal.documented("kubectl get tracingpolicies.clew.dev").splitlines()
    assert [line.split()[:2] for line in shown] == [["NAME", "READY"], ["bookinfo", "True"]]
    assert traced.terminal.documented("kubectl get tracingpolicies").splitlines()[1].startswith("bookinfo ")
    told = traced.terminal.documented("kubectl describe tracingpolicies.clew.dev NAME", {"NAME": "bookinfo"})
    assert "Stalled" in told


def test_why_a_trace_is_cut(traced: Traced) -> None:
    node = yaml.safe_load(traced.terminal.documented("kubectl get nodetracings.clew.dev NODE --output yaml", {"NODE": "node-a"}))
    (policy,) = node["status"]["policies"]
    assert policy | {"name": "bookinfo", "state": "Ready"} == policy
    assert "pods" in policy
    whole = traced.terminal.documented("kubectl get nodetracings.clew.dev").splitlines()
    assert [line.split()[0] for line in whole] == ["NAME", *NODES]
    assert "PROPAGATION" in whole[0]


def test_the_policy_of_the_front_page(traced: Traced) -> None:
    policy = pages()["README.md"].split("```yaml\n")[1].split("```")[0]
    (traced.terminal.folder / "policy.yaml").write_text(policy)
    assert traced.terminal.documented("clew check policy.yaml") == "policy.yaml: bookinfo is valid\n"
    assert "configured" in traced.terminal.documented("kubectl apply -f policy.yaml")
    assert "configured" in traced.terminal.documented("kubectl apply -f examples/bookinfo.yaml")
