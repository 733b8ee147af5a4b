"""The quick start on real nodes, from nothing to traces and back to nothing, and what runbooks tell to look at where pods really run.

The tests are steps of one story, and run in their order. They come after Clew was taken away (`test_clew_uninstall.py`), and install it and
the book shop by what the docs say; at the end nothing of either is left.
"""

from __future__ import annotations

import re
import time
import urllib.request

import pytest
import yaml
from clew_lab.cluster import Cluster
from clew_lab.nodes.machine import LabNode
from clew_lab.pages import nodes_of, pages

from tests.cluster import clew, shop
from tests.cluster.received import Spans
from tests.cluster.web import until
from tests.docs import quickstart
from tests.docs.terminal import Terminal

KINDS = ("tracingpolicies.clew.dev", "tracingrevisions.clew.dev", "nodetracings.clew.dev")
SETTINGS = "--set agent.sysAdmin=true,operator.replicas=1"
"""Debian's kernels want the one, as the page says; the other is for an emulated processor's sake."""


@pytest.fixture(scope="module")
def terminal(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal(tmp_path_factory.mktemp("reader"), cluster.environment)


@pytest.fixture(scope="module", autouse=True)
def nothing(cluster: Cluster) -> None:
    """Neither kinds nor policies that others have left."""
    cluster.kubectl("delete", "customresourcedefinitions", *KINDS, "--ignore-not-found")


def test_the_book_shop_is_there(terminal: Terminal) -> None:
    terminal.documented("kubectl apply -k examples/bookinfo/manifests")
    terminal.documented("kubectl wait --namespace bookinfo deployments --all --for=condition=Available --timeout=5m", {"5m": "10m"})


def test_the_quick_start(terminal: Terminal, cluster: Cluster, spans: Spans, nodes: dict[str, LabNode]) -> None:
    quickstart.install(terminal, spans.url, SETTINGS)
    quickstart.trace(terminal)
    for node in nodes:
        (report,) = clew.tracing(cluster, node)["status"]["policies"]
        assert (report["name"], report["state"]) == ("bookinfo", "Ready")


def test_the_installation_is_sound(terminal: Terminal) -> None:
    assert re.search(r"^Phase: +Succeeded$", terminal.documented("helm test clew --namespace clew-system"), re.MULTILINE)


def test_pages_become_traces_over_both_nodes(terminal: Terminal, spans: Spans, nodes: dict[str, LabNode]) -> None:
    began = time.time_ns()
    told = terminal.documented(
        "kubectl run load --image=clew/load:0.1.0 --restart=Never --attach --rm -- "
        "http://productpage.bookinfo:9080/productpage --rate 50 --seconds 60 --close",
        {"--rate 50 --seconds 60": "--rate 2 --seconds 10"},
    )
    assert "20 requests in " in told
    assert ", 0 failed" in told
    spans.until(lambda seen: [one for one in pages(seen, began).values() if nodes_of(one) == set(nodes)])


def test_the_page_in_one_s_own_browser(terminal: Terminal) -> None:
    with terminal.documented_to_go_on(
        "kubectl port-forward --namespace bookinfo service/productpage 9080:9080", {"9080:9080": ":9080"}
    ) as lines:
        port = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> 9080\n", lines.readline())
        assert port
        with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/productpage", timeout=120) as page:
            assert "<h1>The Comedy of Errors</h1>" in page.read().decode()


def test_what_the_operator_says(terminal: Terminal) -> None:
    assert "leads identity=" in terminal.documented("kubectl --namespace clew-system logs deployment/clew-operator")


def test_why_a_trace_is_cut(terminal: Terminal) -> None:
    """The first three questions of the runbook, asked of a node where nothing is cut."""
    node = yaml.safe_load(terminal.documented("kubectl get nodetracings.clew.dev NODE --output yaml", {"NODE": "worker-1"}))
    (policy,) = node["status"]["policies"]
    assert (policy["state"], policy["pods"], node["status"]["kernel"]["propagation"]) == ("Ready", 3, "On")
    shown = terminal.documented("kubectl clew status POLICY", {"POLICY": "bookinfo"})
    assert re.search(r"Ready +2 nodes: worker-1 worker-2$", shown, re.MULTILINE)
    assert terminal.documented("kubectl get nodetracings.clew.dev").count(" On ") == 2


def test_what_an_agent_said_before_it_was_started_anew(terminal: Terminal, cluster: Cluster, nodes: dict[str, LabNode]) -> None:
    """As an agent that ends by itself; it comes back, and the policy is in force there again."""
    pod = clew.agent_on(cluster, "worker-1")
    nodes["worker-1"].run("pkill", "-TERM", "-f", "[c]lew-agent run")
    state = ("get", "pod", pod, f"--namespace={clew.NAMESPACE}", "--output=jsonpath={.status.containerStatuses[0].restartCount}")
    until(lambda: cluster.kubectl(*state).stdout == "1")
    cluster.kubectl("wait", "pod", pod, f"--namespace={clew.NAMESPACE}", "--for=condition=Ready", f"--timeout={clew.PATIENCE}s")
    said = terminal.documented("kubectl --namespace clew-system logs POD --previous", {"POD": pod})
    assert "clew-agent: ready after " in said


def test_nothing_is_left(terminal: Terminal, cluster: Cluster, nodes: dict[str, LabNode]) -> None:
    quickstart.leave(terminal)
    cluster.kubectl("wait", "pods", "--all", f"--namespace={clew.NAMESPACE}", "--for=delete", f"--timeout={clew.PATIENCE}s")
    until(lambda: not any(clew.bpf(node) for node in nodes.values()))
    terminal.documented("kubectl delete crd tracingpolicies.clew.dev tracingrevisions.clew.dev nodetracings.clew.dev")
    shop.stop(cluster)
