"""Clew as it is installed: both nodes' agents, the example's policy, and traces that cross nodes.

The tests are steps of one story, and run in their order.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import pytest
from clew_lab.backends.query import StoredSpan
from clew_lab.cluster import Cluster
from clew_lab.images.bookinfo import load_image
from clew_lab.nodes import clocks
from clew_lab.nodes.machine import LabNode
from clew_lab.pages import nodes_of, page_faults, pages
from clew_lab.traces import INTERNAL, SERVER

from tests.api.rest import GROUP, MERGE_PATCH, Client
from tests.cluster import clew, shop, web
from tests.cluster.received import Spans
from tests.figures import Record

NODES = ("worker-1", "worker-2")
SECONDS = 40
"""How long pages are asked for, two at a time: as many as emulated processors bear. (What is due at a rate that is too high for them ends
in names that are not resolved in time, and in pages that say sorry.)"""
REQUESTS = 20
"""So many pages there are at least, for each version of reviews to be asked."""
NAMESPACE = "bookinfo"

pytestmark = pytest.mark.usefixtures("bookinfo", "installed")


def test_both_nodes_say_what_they_can_do(cluster: Cluster, installed: float, record_property: Record) -> None:
    record_property("helm install", f"{installed:.0f} s until all is Ready")
    web.until(lambda: all("status" in clew.tracing(cluster, node) for node in NODES))  # a moment after they have become Ready
    for node, series in zip(NODES, ("6.12", "6.1"), strict=True):
        status = clew.tracing(cluster, node)["status"]
        assert status["kernel"]["release"].startswith(f"{series}.")
        assert status["kernel"]["propagation"] == "On"
        assert status.get("policies", []) == []


def test_the_policy_goes_out(cluster: Cluster, policy: float) -> None:
    for node in NODES:
        (report,) = clew.tracing(cluster, node)["status"]["policies"]
        assert (report["state"], report["reason"], report["pods"], report["functions"]) == ("Ready", "Enforced", 3, [])


def faults(seen: list[StoredSpan], clocks_ns: int) -> Counter[str]:
    """What is wrong with the traces of pages, and how often."""
    traces = pages(seen)
    return Counter({"traces": len(traces)}) + Counter(fault for trace in traces.values() for fault in page_faults(trace, clocks_ns))


def whole(seen: list[StoredSpan], count: int, clocks_ns: int) -> dict[str, list[StoredSpan]]:
    """The traces of pages, once there are so many of them, and all are whole; empty before."""
    traces = pages(seen)
    return traces if len(traces) >= count and not any(page_faults(trace, clocks_ns) for trace in traces.values()) else {}


def test_every_page_is_one_whole_trace(
    cluster: Cluster, spans: Spans, policy: float, nodes: dict[str, LabNode], record_property: Record
) -> None:
    offsets = {name: clocks.measure(node.port) for name, node in nodes.items()}
    for name, offset in offsets.items():
        record_property(f"clock of {name}", f"{offset.ns / 1e6:+.2f} ms from the host's (± {offset.error_ns / 1e6:.2f} ms)")
    apart = max(clew.CLOCKS_NS, sum(offset.most_ns for offset in offsets.values()))
    told = shop.load(cluster, "load", "--concurrency", "2", "--seconds", str(SECONDS))
    assert told["failures"] == 0
    assert told["requests"] >= REQUESTS
    traces = spans.until(lambda seen: whole(seen, told["requests"], apart), amiss=lambda seen: faults(seen, apart))
    assert len(traces) == told["requests"]
    record_property("first span", f"{min(span.start for span in spans.all()) / 1e9 - policy:.1f} s after kubectl apply")
    crossing = [trace for trace in traces.values() if nodes_of(trace) == set(NODES)]
    memory = {node: clew.tracing(cluster, node)["status"]["overhead"]["memoryMiB"] for node in NODES}
    record_property("agents' memory", f"{memory} MiB")
    assert max(memory.values()) < 100
    record_property("traces over both nodes", f"{len(crossing)} of {len(traces)}")
    assert crossing


def test_spans_say_which_pod(cluster: Cluster, spans: Spans) -> None:
    known = {pod["metadata"]["uid"]: pod for pod in shop.pods(cluster)}
    of_pods = {str(span.resource["k8s.pod.uid"]): span.resource for trace in pages(spans.all()).values() for span in trace}
    assert of_pods.keys() == known.keys()
    for uid, resource in of_pods.items():
        pod = known[uid]
        deployment = pod["metadata"]["name"].rsplit("-", 2)[0]
        (container,) = (one["name"] for one in pod["spec"]["containers"])
        expected = {
            "k8s.namespace.name": NAMESPACE,
            "k8s.pod.name": pod["metadata"]["name"],
            "k8s.pod.uid": uid,
            "k8s.container.name": container,
            "k8s.node.name": pod["spec"]["nodeName"],
            "k8s.deployment.name": deployment,
            "service.name": deployment,
            "service.namespace": NAMESPACE,
            "service.instance.id": f"{NAMESPACE}.{pod['metadata']['name']}.{container}",
        }
        assert {key: resource.get(key) for key in expected} == expected


def test_names_say_who_speaks_to_whom(spans: Spans) -> None:
    """Whoever asks for pages is not traced: its node's agent knows it all the same."""
    names = {span.name for trace in pages(spans.all()).values() for span in trace if span.kind != INTERNAL}
    reviews = {f"server:reviews-{version}->productpage" for version in ("v1", "v2", "v3")}
    assert names - reviews - {"server:productpage->load", "server:productpage->NONE"} == {
        "client:productpage->details",
        "server:details->productpage",
        "client:productpage->reviews",
        "client:reviews-v2->ratings",
        "client:reviews-v3->ratings",
        "server:ratings->reviews-v2",
        "server:ratings->reviews-v3",
    }


def test_kernel_functions_are_recorded_on_both_kernels(spans: Spans) -> None:
    found = {(span.resource["k8s.node.name"], span.name) for span in spans.all() if span.kind == INTERNAL}
    for node in NODES:
        assert {"tcp_connect", "tcp_recvmsg", "tcp_sendmsg", "tcp_bpf_sendmsg"} <= {name for where, name in found if where == node}


# By exec, since productpage itself knows one way alone: what runs in a pod's container is the pod's.
ASK = """
import sys, urllib.error, urllib.request
for number, target in enumerate(sys.argv[1:], 901):
    try:
        urllib.request.urlopen(f"http://{target}/details/{number}", timeout=60)
    except urllib.error.HTTPError as problem:
        print(problem.code)
"""
DETAILS = ("client:productpage->details", "server:details->productpage")
# A port of a node, which forwards under an address of its own: who is asked sees the node, and knows the caller by its span's identifier.
FORWARDED = ("client:productpage->details-nodeport", "server:details->productpage")


def ways(cluster: Cluster) -> Mapping[str, tuple[str, str]]:
    """The ways from productpage to details, and what the spans of both ends are called."""
    (pod,) = shop.pods(cluster, "details")
    others = {
        "details-headless": {"clusterIP": "None", "ports": [{"port": 9080}]},
        "details-nodeport": {"type": "NodePort", "ports": [{"port": 9080}]},
    }
    for name, spec in others.items():
        whole = {"selector": {"app.kubernetes.io/name": "details"}, **spec}
        made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": whole}
        cluster.kubectl("apply", "--filename=-", input=json.dumps(made))
    ask = ("get", "service", "details-nodeport", f"--namespace={NAMESPACE}", "--output=jsonpath={.spec.ports[0].nodePort}")
    return {
        "details:9080": DETAILS,
        "details-headless:9080": DETAILS,
        f"{pod['status']['podIP']}:9080": DETAILS,
        f"{pod['status']['hostIP']}:{cluster.kubectl(*ask).stdout}": FORWARDED,
    }


@pytest.mark.usefixtures("policy")
def test_every_way_to_a_pod_is_one_trace(cluster: Cluster, spans: Spans) -> None:
    """By a Service, a headless one, the pod's address, a NodePort."""
    targets = ways(cluster)
    ask = ("exec", f"--namespace={NAMESPACE}", "deployment/productpage", "--", "python3", "-c", ASK, *targets)
    web.until(lambda: cluster.kubectl(*ask, check=False).stdout == "404\n" * len(targets))
    for number, names in enumerate(targets.values(), 901):
        client, server = _exchange(spans, f"/details/{number}")
        assert (client.name, server.name) == names
        assert (client.trace, client.parent) == (server.trace, "")


def _exchange(spans: Spans, path: str) -> tuple[StoredSpan, StoredSpan]:
    """The spans of both ends of the last request with that path."""
    server = spans.until(lambda seen: [span for span in seen if span.attributes.get("url.path") == path])[-1]
    return spans.until(lambda seen: [span for span in seen if span.span == server.parent])[0], server


@pytest.mark.usefixtures("policy")
def test_a_pod_is_traced_from_its_first_request(cluster: Cluster, spans: Spans, record_property: Record) -> None:
    """The kubelet's, which asks whether it is up as soon as its container runs. The pod itself tells what it was asked."""
    deployment = json.loads(cluster.kubectl("get", "deployment", "details", f"--namespace={NAMESPACE}", "--output=json").stdout)
    spec = deployment["spec"]["template"]["spec"]
    spec["containers"][0] |= {"image": load_image(), "command": ["python3", "-c", shop.SERVE]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fresh", "namespace": NAMESPACE}, "spec": spec}
    cluster.kubectl("apply", "--filename=-", input=json.dumps(pod))
    cluster.kubectl("wait", "pod", "fresh", f"--namespace={NAMESPACE}", "--for=condition=Ready", f"--timeout={web.PATIENCE}s")
    found = json.loads(cluster.kubectl("get", "pod", "fresh", f"--namespace={NAMESPACE}", "--output=json").stdout)
    asked = cluster.kubectl("logs", "fresh", f"--namespace={NAMESPACE}").stdout.count("GET /health ")
    seen = spans.until(lambda seen: of_fresh if len(of_fresh := [one for one in seen if _is_fresh(one)]) >= asked else [])
    cluster.kubectl("delete", "pod", "fresh", f"--namespace={NAMESPACE}")
    started = datetime.fromisoformat(found["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]).timestamp()
    first = min(one.start for one in seen) / 1e9 - started
    record_property("a fresh pod", f"{len(seen)} of {asked} requests traced, the first {first:.1f} s after its container's start")
    assert {one.attributes["url.path"] for one in seen} == {"/health"}


def _is_fresh(span: StoredSpan) -> bool:
    return span.resource["k8s.pod.name"] == "fresh" and span.kind == SERVER


def test_the_token_of_an_agent_is_good_for_its_own_node_alone(cluster: Cluster) -> None:
    """The token itself, out of the running pod, and what the admission policy and its rights leave of it."""
    read = "print(open('/var/run/secrets/kubernetes.io/serviceaccount/token').read())"
    pod = clew.agent_on(cluster, "worker-1")
    token = cluster.kubectl("exec", f"--namespace={clew.NAMESPACE}", pod, "--", "python3", "-c", read).stdout.strip()
    status = {"status": {"observedGeneration": 1}}
    with Client(cluster, token) as agent:
        answers = {
            "own status": agent.ask("PATCH", f"{GROUP}/nodetracings/worker-1/status?dryRun=All", status, MERGE_PATCH).code,
            "other status": agent.ask("PATCH", f"{GROUP}/nodetracings/worker-2/status?dryRun=All", status, MERGE_PATCH).code,
            "own spec": agent.ask("PATCH", f"{GROUP}/nodetracings/worker-1?dryRun=All", {"spec": {"policies": []}}, MERGE_PATCH).code,
            "policies": agent.ask("GET", f"{GROUP}/tracingpolicies").code,
            "secrets": agent.ask("GET", "/api/v1/secrets").code,
            "nodes": agent.ask("GET", "/api/v1/nodes").code,
            "pods": agent.ask("GET", "/api/v1/pods?limit=1").code,
            "exec": agent.ask("POST", f"/api/v1/namespaces/{clew.NAMESPACE}/pods/{pod}/exec?command=id").code,
        }
    assert answers == {
        "own status": 200,
        "other status": 403,
        "own spec": 403,
        "policies": 403,
        "secrets": 403,
        "nodes": 403,
        "pods": 200,
        "exec": 403,
    }
