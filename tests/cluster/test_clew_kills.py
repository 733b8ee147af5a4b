"""Programs are killed, or exchanged, while Bookinfo is under load: no request fails of it, and tracing goes on by itself.

Not at fifty requests a second: two emulated processors carry about a tenth of that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from clew_lab.backends.query import StoredSpan
from clew_lab.cluster import Cluster
from clew_lab.nodes import clocks
from clew_lab.nodes.machine import LabNode
from clew_lab.pages import nodes_of, page_faults, pages

from tests.cluster import clew, shop
from tests.cluster.received import Spans
from tests.docs.terminal import Terminal
from tests.figures import Record

RATE = "4"
NODE, OTHER = "worker-1", "worker-2"
AWAY_SECONDS = 10

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


def kill_the_leader(world: World) -> None:
    holder = world.cluster.kubectl(
        "get", "lease", "clew-operator", f"--namespace={clew.NAMESPACE}", "--output=jsonpath={.spec.holderIdentity}"
    ).stdout
    world.cluster.kubectl("delete", "pod", holder.partition("_")[0], f"--namespace={clew.NAMESPACE}", "--grace-period=0", "--force")


def restart_the_apiserver(world: World) -> None:
    world.cluster.stop_apiserver()
    whole_trace_after(world, time.time_ns())
    world.cluster.start_apiserver()


def whole_pages(seen: list[StoredSpan], since: int) -> list[list[StoredSpan]]:
    """The whole traces of pages asked for since a moment."""
    return [trace for trace in pages(seen, since).values() if not page_faults(trace, clew.CLOCKS_NS)]


def whole_trace_after(world: World, moment: int) -> float:
    """Wait for a whole trace that began on both nodes after a moment; the seconds between."""

    def look(seen: list[StoredSpan]) -> list[int]:
        return sorted(trace[0].start for trace in whole_pages(seen, moment) if len(nodes_of(trace)) == 2)

    return (world.spans.until(look)[0] - moment) / 1e9


def exchange_the_agents(world: World) -> None:
    clew.exchange(world.cluster)


KILLS: dict[str, Callable[[World], None]] = {
    "agents, for others": exchange_the_agents,
    "agent": kill_on_node("clew-agent run"),
    "operator": kill_the_leader,
    "kubelet": kill_on_node("^kubelet"),
    "containerd": kill_on_node("^containerd --config"),
    "API server": restart_the_apiserver,
}


@pytest.mark.parametrize("what", KILLS)
def test_no_request_fails_and_tracing_goes_on(world: World, what: str, record_property: Record) -> None:
    with shop.under_load(world.cluster, RATE) as told:
        whole_trace_after(world, time.time_ns())
        moment = time.time_ns()
        KILLS[what](world)
        resumed = whole_trace_after(world, moment)
    record_property(f"gone under load: {what}", f"a whole trace over both nodes began {resumed:.1f} s later; {json.dumps(told)}")
    assert told["failures"] == 0


def test_what_an_agent_said_before_it_was_started_anew(world: World, terminal: Terminal) -> None:
    said = terminal.documented("kubectl --namespace clew-system logs POD --previous", {"POD": clew.agent_on(world.cluster, NODE)})
    assert "clew-agent: ready after " in said


def test_a_backend_that_is_away_loses_nothing(world: World, record_property: Record) -> None:
    """For a while that the agents' queues bridge."""
    began = time.time_ns()
    with shop.under_load(world.cluster, RATE) as told:
        whole_trace_after(world, began)
        with world.spans.away():
            time.sleep(AWAY_SECONDS)
        whole_trace_after(world, time.time_ns())
    world.spans.until(lambda seen: len(whole_pages(seen, began)) == told["requests"])
    record_property("backend away", f"{AWAY_SECONDS} s; {json.dumps(told)}; no trace lost")
    assert told["failures"] == 0


def test_a_node_that_loses_power_is_traced_again_when_it_is_back(world: World, record_property: Record) -> None:
    """Requests that its pods had, and were sent while it was not known to be gone, fail: with Clew as without."""
    node = world.nodes[OTHER]
    with shop.under_load(world.cluster, RATE) as told:
        whole_trace_after(world, time.time_ns())
        node.power_on()  # which takes its power away before
        moment = time.time_ns()
        resumed = whole_trace_after(world, moment)
    record_property(f"{OTHER} reset", f"a whole trace over both nodes began {resumed:.0f} s later; {json.dumps(told)}")
    assert clocks.measure(node.port).error_ns < clew.CLOCKS_NS
