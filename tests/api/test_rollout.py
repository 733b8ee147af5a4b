"""A policy goes out on a real API server, as people see it: steps, failure, rollback, and what they may ask of a rollout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clew_crds.node import State
from clew_crds.policy import PolicySpec
from clew_crds.revision import enforced, revision_name
from clew_lab.agents import Agents, Behaviour, running_agents
from clew_lab.cluster import Cluster

from tests.api.operators import TRACINGS, Document, Rig, conditions, is_true, rig

NODES = 10
STEPS = [{"nodes": "1"}, {"nodes": "50%"}, {"nodes": "100%"}]
SOAK = [{"nodes": "1", "soak": "1h"}, {"nodes": "100%"}]
KOPF = "kopf.zalando.org/KopfFinalizerMarker"


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[Rig]:
    with rig(cluster) as made:
        cluster.add_nodes(NODES)
        # Another operator made with kopf guards this namespace; ours must leave the finalizer where it is.
        guarded = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guarded", "finalizers": [KOPF]}}
        cluster.kubectl("create", "-f-", input=json.dumps(guarded))
        made.start_operator()
        yield made


@pytest.fixture(scope="module")
def everyone(running: Rig) -> Iterator[Agents]:
    with running_agents(running.cluster.kubeconfig) as made:
        yield made


@pytest.fixture
def agents(everyone: Agents) -> Agents:
    everyone.behave([])
    return everyone


def spec(size: int) -> Document:
    """What is enforced; another ``size`` makes another revision."""
    return {"limits": {"spansPerRequest": size}}


def revision(policy: str, size: int) -> str:
    return revision_name(policy, enforced(PolicySpec.model_validate({"namespaces": ["default"], **spec(size)})))


def without_times(status: Document) -> Document:
    """A status without what differs from run to run."""
    rollout = {key: value for key, value in status["rollout"].items() if not key.endswith("Time")}
    return {**{key: value for key, value in status.items() if key != "conditions"}, "rollout": rollout}


def rolled_out(policy: str, size: int, generation: int, steps: int) -> Document:
    """The status, without times and conditions, of a policy that all nodes enforce."""
    return {
        "observedGeneration": generation,
        "revision": revision(policy, size),
        "stableRevision": revision(policy, size),
        "nodes": {"desired": NODES, "updated": NODES, "ready": NODES, "failed": 0, "unsupported": 0, "silent": 0},
        "step": f"{steps}/{steps}",
        "message": f"{NODES} of {NODES} nodes ready",
        "rollout": {"step": steps, "steps": steps, "aborted": False, "promotedStep": 0, "handledRequest": ""},
        "failures": [],
        "overlaps": [],
    }


READY = {
    "Ready": ("True", "RolledOut", f"{NODES} of {NODES} nodes ready"),
    "Reconciling": ("False", "RolledOut", ""),
    "Stalled": ("False", "RolledOut", ""),
}


def remove(running: Rig, policy: str) -> None:
    """Delete a policy and wait until no node has it."""
    running.cluster.kubectl("delete", "tracingpolicies.clew.dev", policy)
    for tracing in running.list(TRACINGS):
        running.tracing_until(tracing["metadata"]["name"], lambda one: policy not in json.dumps([one.get("spec"), one.get("status")]))


def events(running: Rig, policy: str) -> list[tuple[str, str, str]]:
    """Type, reason and note of the events of a policy, in their order."""
    found = json.loads(running.cluster.kubectl("get", "events.events.k8s.io", "-n", "default", "-o", "json").stdout)["items"]
    mine = sorted((one for one in found if one["regarding"]["name"] == policy), key=lambda one: str(one["eventTime"]))
    return [(one["type"], one["reason"], one["note"]) for one in mine]


def test_a_policy_goes_out_in_steps_until_it_is_ready(running: Rig, agents: Agents) -> None:
    running.apply("steps", spec(1), maxUnavailable="2", steps=STEPS)
    status = running.until("steps", lambda one: is_true(one, "Ready"))
    assert without_times(status) == rolled_out("steps", 1, 1, 3)
    assert conditions(status) == READY
    name = revision("steps", 1)
    assert running.told("steps") == {f"node-{number}": name for number in range(NODES)}
    assert events(running, "steps") == [
        ("Normal", "RolloutStarted", f"{name} goes out in 3 steps"),
        ("Normal", "StepStarted", f"step 2 of 3: {name} on 5 of 10 nodes"),
        ("Normal", "StepStarted", f"step 3 of 3: {name} on 10 of 10 nodes"),
        ("Normal", "RolledOut", f"{name} is on all nodes, and stable"),
    ]
    remove(running, "steps")


def test_nothing_is_written_on_anybodys_objects(running: Rig, agents: Agents) -> None:
    running.apply("clean", spec(1), maxUnavailable="100%")
    running.until("clean", lambda one: is_true(one, "Ready"))
    policy = running.policy("clean")
    assert policy["metadata"].get("annotations", {}) == {}
    assert policy["metadata"].get("finalizers", []) == []
    managers = {(one["manager"], one.get("subresource", "")) for one in policy["metadata"]["managedFields"]}
    assert managers == {("user", ""), ("clew-operator", "status")}
    for kind in ("nodes", "namespaces"):
        objects = json.loads(running.cluster.kubectl("get", kind, "-o", "json", "--show-managed-fields").stdout)["items"]
        text = json.dumps(objects)
        assert "clew" not in text
        assert text.count(KOPF) == (1 if kind == "namespaces" else 0) * text.count(KOPF)
    guarded = json.loads(running.cluster.kubectl("get", "namespace", "guarded", "-o", "json").stdout)
    assert guarded["metadata"]["finalizers"] == [KOPF]
    remove(running, "clean")


def test_a_failing_node_stops_the_rollout_and_takes_it_back(running: Rig, agents: Agents) -> None:
    running.apply("failing", spec(1), maxUnavailable="2", steps=STEPS)
    running.until("failing", lambda one: is_true(one, "Ready"))
    good, bad = revision("failing", 1), revision("failing", 2)
    agents.behave([Behaviour(revision=bad, node="node-3", state=State.FAILED, reason="FunctionNotFound", message="no function tcp_x")])
    running.apply("failing", spec(2), maxUnavailable="2", steps=STEPS)
    status = running.until("failing", lambda one: is_true(one, "Stalled") and "rolled back" in one["message"])
    assert conditions(status) == {}
    assert running.told("failing") == {f"node-{number}": good for number in range(NODES)}
    assert without_times(status) == {}
    # It stays so until the policy is edited.
    running.apply("failing", spec(3), maxUnavailable="2", steps=STEPS)
    status = running.until("failing", lambda one: is_true(one, "Ready"))
    assert without_times(status) == rolled_out("failing", 3, 3, 3)
    remove(running, "failing")
