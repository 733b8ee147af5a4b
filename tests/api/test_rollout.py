"""A policy goes out on a real API server, as people see it: steps, failure, rollback, and what they may ask of a rollout."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from clew_crds.node import State
from clew_crds.policy import PolicySpec
from clew_crds.revision import enforced, revision_name
from clew_lab.agents import Agents, Behaviour
from clew_lab.cluster import Cluster

from tests.api.operators import TRACINGS, Document, Rig, conditions, is_true, rig, rolled_back

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
    """Type, reason and note of the events of a policy that has been rolled out, in their order."""
    return [(one["type"], one["reason"], one["note"]) for one in running.events(policy, "RolledOut")]


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
        assert "clew" not in json.dumps(objects)
    guarded = json.loads(running.cluster.kubectl("get", "namespace", "guarded", "-o", "json").stdout)
    assert guarded["metadata"]["finalizers"] == [KOPF]
    remove(running, "clean")


def test_a_failing_node_stops_the_rollout_and_takes_it_back(running: Rig, agents: Agents) -> None:
    running.apply("failing", spec(1), maxUnavailable="2", steps=STEPS)
    running.until("failing", lambda one: is_true(one, "Ready"))
    good, bad = revision("failing", 1), revision("failing", 2)
    agents.behave([Behaviour(revision=bad, node="node-3", state=State.FAILED, reason="FunctionNotFound", message="no function tcp_x")])
    running.apply("failing", spec(2), maxUnavailable="2", steps=STEPS)
    status = running.until("failing", lambda one: is_true(one, "Stalled") and rolled_back(one))
    why = f"node-3: FunctionNotFound: no function tcp_x; rolled back to {good}; edit the policy, or run `kubectl clew retry failing`"
    assert conditions(status) == {
        "Ready": ("False", "FunctionNotFound", why),
        "Reconciling": ("False", "FunctionNotFound", ""),
        "Stalled": ("True", "FunctionNotFound", why),
    }
    assert running.told("failing") == {f"node-{number}": good for number in range(NODES)}
    assert without_times(status) == {
        "observedGeneration": 2,
        "revision": bad,
        "stableRevision": good,
        "nodes": {"desired": NODES, "updated": 0, "ready": 0, "failed": 1, "unsupported": 0, "silent": 0},
        "step": "2/3",
        "message": why,
        "rollout": {"step": 2, "steps": 3, "aborted": False, "promotedStep": 0, "handledRequest": "", "failedRevision": bad},
        "failures": [{"node": "node-3", "reason": "FunctionNotFound", "message": "no function tcp_x"}],
        "overlaps": [],
    }
    # A new look, and a new leader, come to the same: it stays as it is until the policy is edited.
    running.operators[-1].stop()
    running.start_operator()
    running.apply("failing", spec(3), maxUnavailable="2", steps=STEPS)
    status = running.until("failing", lambda one: is_true(one, "Ready"))
    assert without_times(status) == rolled_out("failing", 3, 3, 3)
    assert conditions(status) == READY
    remove(running, "failing")


def test_pause_on_failure_stops_and_retry_goes_on(running: Rig, agents: Agents) -> None:
    name = revision("sticky", 1)
    agents.behave([Behaviour(revision=name, node="node-3", state=State.FAILED, reason="LoadFailed", message="no memory")])
    running.apply("sticky", spec(1), maxUnavailable="100%", onFailure="Pause")
    status = running.until("sticky", lambda one: is_true(one, "Stalled", "LoadFailed") and one["nodes"]["ready"] == NODES - 1)
    assert status["nodes"] == {"desired": NODES, "updated": NODES, "ready": NODES - 1, "failed": 1, "unsupported": 0, "silent": 0}
    assert running.told("sticky") == {f"node-{number}": name for number in range(NODES)}
    agents.behave([])
    running.request("sticky", "retry-1", "Retry")
    status = running.until("sticky", lambda one: is_true(one, "Ready"))
    assert status["rollout"]["handledRequest"] == "retry-1"
    assert [one[:2] for one in events(running, "sticky")] == [
        ("Normal", "RolloutStarted"),
        ("Warning", "LoadFailed"),
        ("Normal", "Retried"),
        ("Normal", "RolledOut"),
    ]
    remove(running, "sticky")


def test_pause_holds_everything_where_it_is(running: Rig, agents: Agents) -> None:
    running.apply("held", spec(1), maxUnavailable="100%", paused=True)
    status = running.until("held", lambda one: bool(one.get("conditions")))
    assert (status["nodes"]["updated"], conditions(status)["Ready"][:2]) == (0, ("False", "Paused"))
    assert running.told("held") == {}
    running.apply("held", spec(1), maxUnavailable="100%", paused=False)
    assert without_times(running.until("held", lambda one: is_true(one, "Ready"))) == rolled_out("held", 1, 2, 1)
    remove(running, "held")


def test_promote_ends_the_soak_of_the_step_that_is_meant(running: Rig, agents: Agents) -> None:
    running.apply("soaking", spec(1), maxUnavailable="100%", steps=SOAK)
    status = running.until("soaking", lambda one: "soakStartedTime" in one.get("rollout", {}))
    assert (status["step"], status["nodes"]["ready"], len(running.told("soaking"))) == ("1/2", 1, 1)
    # Another step than this one is meant: it is told so, and nothing else happens.
    running.request("soaking", "late", "Promote", step=2)
    status = running.until("soaking", lambda one: one["rollout"]["handledRequest"] == "late")
    assert status["step"] == "1/2"
    running.request("soaking", "now", "Promote", step=1)
    status = running.until("soaking", lambda one: is_true(one, "Ready"))
    expected = rolled_out("soaking", 1, 1, 2)
    assert without_times(status) == {**expected, "rollout": {**expected["rollout"], "handledRequest": "now"}}
    ignored = "Promote was asked for, and not done: step 2 was meant, and step 1 is under way"
    assert ("Warning", "RequestIgnored", ignored) in events(running, "soaking")
    remove(running, "soaking")


def test_abort_goes_back_to_what_was_stable(running: Rig, agents: Agents) -> None:
    running.apply("aborted", spec(1), maxUnavailable="100%")
    running.until("aborted", lambda one: is_true(one, "Ready"))
    running.apply("aborted", spec(2), maxUnavailable="100%", steps=SOAK)
    running.until("aborted", lambda one: one["observedGeneration"] == 2 and "soakStartedTime" in one["rollout"])
    assert sorted(set(running.told("aborted").values())) == sorted([revision("aborted", 1), revision("aborted", 2)])
    running.request("aborted", "stop-it", "Abort")
    status = running.until("aborted", lambda one: is_true(one, "Stalled", "Aborted") and rolled_back(one))
    assert (status["rollout"]["aborted"], status["rollout"]["failedRevision"]) == (True, revision("aborted", 2))
    assert set(running.told("aborted").values()) == {revision("aborted", 1)}
    remove(running, "aborted")


def test_nodes_come_and_go(running: Rig, agents: Agents) -> None:
    running.apply("nodes", spec(1), maxUnavailable="100%")
    running.until("nodes", lambda one: is_true(one, "Ready"))
    running.cluster.add_nodes(["late"])
    status = running.until("nodes", lambda one: one["nodes"]["ready"] == NODES + 1)
    assert status["nodes"]["desired"] == NODES + 1
    assert running.told("nodes")["late"] == revision("nodes", 1)
    running.cluster.kubectl("delete", "node", "late")
    running.until("nodes", lambda one: one["nodes"]["desired"] == NODES)
    running.cluster.kubectl("wait", "--for=delete", "nodetracings/late", "--timeout=30s")
    remove(running, "nodes")
    running.cluster.kubectl("wait", "--for=delete", f"tracingrevisions/{revision('nodes', 1)}", "--timeout=30s")


def test_a_policy_that_cannot_be_read_says_so_and_stays_enforced(running: Rig, agents: Agents) -> None:
    running.apply("newer", spec(1), maxUnavailable="100%")
    running.until("newer", lambda one: is_true(one, "Ready"))
    kind = "customresourcedefinition/tracingpolicies.clew.dev"
    properties = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
    # The CustomResourceDefinition of a later version, which has a field that this operator does not know.
    patch = [{"op": "add", "path": f"{properties}/novelty", "value": {"type": "string"}}]
    running.cluster.kubectl("patch", kind, "--type=json", "-p", json.dumps(patch))
    running.apply_when_served("newer", {**spec(1), "novelty": "red"}, "novelty")
    # Watches that are older than the change go on for a while, and do not have the field.
    running.operators[-1].stop()
    running.start_operator()
    status = running.until("newer", lambda one: is_true(one, "Stalled", "InvalidSpec"))
    said = conditions(status)["Stalled"][2]
    assert said.startswith("spec.novelty: unknown field; known here: identifiers, kernelFunctions, ")
    assert conditions(status) == {
        "Ready": ("False", "InvalidSpec", said),
        "Reconciling": ("False", "InvalidSpec", said),
        "Stalled": ("True", "InvalidSpec", said),
    }
    assert (status["observedGeneration"], status["stableRevision"]) == (2, revision("newer", 1))
    assert running.told("newer") == {f"node-{number}": revision("newer", 1) for number in range(NODES)}
    running.apply("newer", spec(3), maxUnavailable="100%")
    assert without_times(running.until("newer", lambda one: is_true(one, "Ready"))) == rolled_out("newer", 3, 3, 1)
    running.cluster.kubectl("patch", kind, "--type=json", "-p", json.dumps([{"op": "remove", "path": f"{properties}/novelty"}]))
    remove(running, "newer")
