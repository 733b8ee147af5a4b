"""What quick start and runbooks tell to do where Clew runs already; to install it, and to take it away, other modules type."""

from __future__ import annotations

import re
import time
import urllib.request

import pytest
import yaml
from clew_lab.nodes.machine import LabNode
from clew_lab.pages import nodes_of, pages

from tests.cluster.received import Spans
from tests.docs.terminal import Terminal

pytestmark = pytest.mark.usefixtures("policy")


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
