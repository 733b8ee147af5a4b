"""Programs are killed, or exchanged, while Bookinfo is under load: no request fails of it, and tracing goes on by itself.

The tests are steps of one story, and run in their order: one load goes on through the first ones. It is one request in two seconds, each of
four or five services: what is started again takes an emulated processor for a minute, and requests must have something left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from clew_lab.backends.query import StoredSpan
from clew_lab.cluster import Cluster
from clew_lab.nodes import clocks
from clew_lab.nodes.machine import LabNode
from clew_lab.pages import nodes_of, page_faults, pages

from tests.cluster import clew, shop, web
from tests.cluster.received import Spans
from tests.docs.terminal import Terminal
from tests.figures import Record

RATE = "0.25"
NODE, OTHER = "worker-1", "worker-2"
AWAY_SECONDS = 10
BOOT_SECONDS = 900
"""An emulated processor boots, and starts half of Bookinfo, an agent and what Kubernetes needs, at once."""
AGAIN = 6

pytestmark = pytest.mark.usefixtures("policy")


@dataclass
class World:
    """What a kill may need."""

    cluster: Cluster
    nodes: dict[str, LabNode]
    spans: Spans


@pytest.fixture(scope="module")
def world(cluster: Cluster, nodes: dict[str, LabNode], spans: Spans) -> World:
    """Bookinfo, traced."""
    return World(cluster, nodes, spans)


def kill_on_node(pattern: str) -> Callable[[World], None]:
    """A kill of the oldest process of the node whose command line matches."""

    def kill(world: World) -> None:
        node = world.nodes[NODE]
        node.run("kill", "-KILL", node.run("pgrep", "--oldest", "--full", pattern).stdout.strip())

    return kill


def leader(world: World) -> str:
    """The pod of the operator that leads."""
    lease = ("lease", "clew-operator", f"--namespace={clew.NAMESPACE}", "--output=jsonpath={.spec.holderIdentity}")
    return world.cluster.kubectl("get", *lease).stdout.partition("_")[0]


def kill_the_leader(world: World) -> None:
    world.cluster.kubectl("delete", "pod", leader(world), f"--namespace={clew.NAMESPACE}", "--grace-period=0", "--force")


def restart_the_apiserver(world: World) -> None:
    world.cluster.stop_apiserver()
    whole_trace_after(world, time.time_ns())
    world.cluster.start_apiserver()


def whole_pages(seen: list[StoredSpan], since: int) -> list[list[StoredSpan]]:
    """The whole traces of pages asked for since a moment."""
    return [trace for trace in pages(seen, since).values() if not page_faults(trace, clew.CLOCKS_NS)]


def whole_trace_after(world: World, moment: int, patience: float = web.PATIENCE) -> float:
    """Wait for a whole trace that began on both nodes after a moment; the seconds between."""

    def look(seen: list[StoredSpan]) -> list[int]:
        return sorted(trace[0].start for trace in whole_pages(seen, moment) if len(nodes_of(trace)) == 2)

    return (world.spans.until(look, patience)[0] - moment) / 1e9


@dataclass
class Load:
    """A load that goes on, and when it began; ``end`` ends it, and tells what became of it."""

    began: int
    end: Callable[[], Mapping[str, Any]]


@pytest.fixture(scope="module")
def load(world: World) -> Iterator[Load]:
    """It begins when traces of it are whole."""
    with ExitStack() as held:
        began = time.time_ns()
        told = held.enter_context(shop.under_load(world.cluster, RATE, NODE))
        whole_trace_after(world, began)

        def end() -> Mapping[str, Any]:
            held.close()
            return told

        yield Load(began, end)


@pytest.mark.usefixtures("load")
def test_agents_are_exchanged_for_others(world: World, record_property: Record) -> None:
    began = time.monotonic()
    clew.exchange(world.cluster)
    taken = time.monotonic() - began
    for node in (NODE, OTHER):
        log = ("logs", clew.agent_on(world.cluster, node), f"--namespace={clew.NAMESPACE}")
        assert "clew-agent: ready after " in world.cluster.kubectl(*log).stdout
    resumed = whole_trace_after(world, time.time_ns())
    record_property("agents exchanged", f"in {taken:.0f} s; a whole trace began {resumed:.1f} s after the last one was ready")


KILLS: dict[str, Callable[[World], None]] = {
    "operator": kill_the_leader,
    "kubelet": kill_on_node("^kubelet"),
    "containerd": kill_on_node("^containerd --config"),
    "API server": restart_the_apiserver,
}


def goes_on(world: World, kill: Callable[[World], None]) -> str:
    """Kill something, and wait until all is as before; how long that took, in words."""
    killed = time.monotonic()
    kill(world)
    resumed = whole_trace_after(world, time.time_ns())
    web.until(lambda: shop.load_obeys(world.cluster))
    return f"a whole trace over both nodes began {resumed:.1f} s later; all was back after {time.monotonic() - killed:.0f} s"


@pytest.mark.usefixtures("load")
def test_tracing_goes_on_when_an_agent_is_killed(world: World, record_property: Record) -> None:
    record_property("agent killed", goes_on(world, kill_on_node("clew-agent run")))


@pytest.mark.usefixtures("load")
def test_what_an_agent_said_before_it_was_started_anew(world: World, terminal: Terminal) -> None:
    """Asked before containerd is killed, too: on a slow machine it was seen not to know the ended container afterwards."""
    said = terminal.documented("kubectl --namespace clew-system logs POD --previous", {"POD": clew.agent_on(world.cluster, NODE)})
    assert "clew-agent: ready after " in said


@pytest.mark.usefixtures("load")
@pytest.mark.parametrize("what", KILLS)
def test_tracing_goes_on_when_it_is_killed(world: World, what: str, record_property: Record) -> None:
    record_property(f"{what} killed", goes_on(world, KILLS[what]))


def test_no_request_failed(world: World, load: Load, record_property: Record) -> None:
    """Traces that are not whole are those of requests that an agent did not see, since it was being exchanged, or started again."""
    told = load.end()
    whole_trace_after(world, load.began)
    whole = len(whole_pages(world.spans.all(), load.began))
    record_property("through all of it", f"{json.dumps(told)}; {whole} whole traces")
    assert told["failures"] == 0


def test_the_agent_was_started_again_once_and_the_other_one_never(world: World) -> None:
    def starts(node: str) -> int:
        pod = clew.agent_on(world.cluster, node)
        return restarts(json.loads(world.cluster.kubectl("get", "pod", pod, f"--namespace={clew.NAMESPACE}", "--output=json").stdout))

    assert {node: starts(node) for node in (NODE, OTHER)} == {NODE: 1, OTHER: 0}


def test_another_operator_leads(world: World) -> None:
    web.until(lambda: leader(world) in clew.pods_of(world.cluster, "operator"))


def test_a_backend_that_is_away_loses_nothing(world: World, record_property: Record) -> None:
    """For a while that the agents' queues bridge."""
    began = time.time_ns()
    with shop.under_load(world.cluster, RATE, NODE) as told:
        whole_trace_after(world, began)
        with world.spans.away():
            time.sleep(AWAY_SECONDS)
        whole_trace_after(world, time.time_ns())
    world.spans.until(lambda seen: len(whole_pages(seen, began)) == told["requests"])
    record_property("backend away", f"{AWAY_SECONDS} s; {json.dumps(told)}; no trace lost")
    assert told["failures"] == 0


def test_a_node_that_loses_power_is_traced_again_when_it_is_back(world: World, record_property: Record) -> None:
    """It is given up meanwhile, and boots with its disk. What needs its pods fails until they are ready: with Clew as without."""
    cluster, node = world.cluster, world.nodes[OTHER]
    node.run("sh", "-c", "echo kept > /run/clew/disk/kept; sync")
    with shop.under_load(cluster, RATE, NODE) as told:
        whole_trace_after(world, time.time_ns())
        node.power_off()
        try:
            cluster.kubectl("wait", f"node/{OTHER}", "--for=condition=Ready=Unknown", f"--timeout={web.PATIENCE}s")
        finally:
            node.power_on()
        moment = time.time_ns()
        resumed = whole_trace_after(world, moment, BOOT_SECONDS)
        web.until(lambda: all(restarts(pod) == 1 and is_ready(pod) for pod in on_node(shop.pods(cluster), OTHER)), BOOT_SECONDS)
        back = (time.time_ns() - moment) / 1e9
    record_property(
        f"{OTHER} without power", f"a whole trace over both nodes began {resumed:.0f} s after; all pods ready after {back:.0f} s"
    )
    record_property(f"load while {OTHER} was away", json.dumps(told))
    assert clocks.measure(node.port).error_ns < clew.CLOCKS_NS
    assert node.run("cat", "/run/clew/disk/kept").stdout == "kept\n"
    began = time.time_ns()
    again = shop.load(cluster, "again", "--rate", RATE, "--seconds", str(AGAIN / float(RATE)))
    assert (again["requests"], again["failures"]) == (AGAIN, 0)
    assert world.spans.until(lambda seen: len(whole_pages(seen, began)) == AGAIN)


def on_node(pods: list[Mapping[str, Any]], node: str) -> list[Mapping[str, Any]]:
    """Those of a node; never none."""
    found = [pod for pod in pods if pod["spec"]["nodeName"] == node]
    assert found
    return found


def restarts(pod: Mapping[str, Any]) -> int:
    """How often its container was started again."""
    (container,) = pod["status"]["containerStatuses"]
    return int(container["restartCount"])


def is_ready(pod: Mapping[str, Any]) -> bool:
    return any((one["type"], one["status"]) == ("Ready", "True") for one in pod["status"]["conditions"])
