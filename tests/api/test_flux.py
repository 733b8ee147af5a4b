"""Flux's own controllers take a policy from git: what they say of it, and that they and the operator never fight over it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clew_crds.node import State
from clew_crds.policy import PolicySpec
from clew_crds.revision import enforced, revision_name
from clew_lab.agents import Agents, Behaviour
from clew_lab.cluster import Cluster
from clew_lab.git_server import serve_repository

from tests.api.audit import Write, per_object, writes
from tests.api.flux import Flux, condition, manifests
from tests.api.operators import REVISIONS, Document, is_true, rig, rolled_back
from tests.api.rest import until
from tests.docs.terminal import Terminal

NODES = ("node-0", "node-1", "node-2", "node-3")
NO_FUNCTION = "no function tcp_x"


@pytest.fixture(scope="module")
def installed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flux]:
    with rig(cluster) as made, serve_repository(tmp_path_factory.mktemp("git") / "tracing") as repository:
        cluster.add_nodes(NODES)
        flux = Flux(made, repository)
        flux.install()
        yield flux


@pytest.fixture
def flux(installed: Flux, agents: Agents) -> Flux:
    """Flux, an operator, and agents for whom all is well."""
    if all(one.process.poll() is not None for one in installed.rig.operators):
        installed.rig.start_operator()
    return installed


def policy(name: str, *functions: str, **spec: object) -> Document:
    """The policy of the docs under a name of its own, with these functions, for all nodes in one step."""
    _, document = manifests()
    changed = {"kernelFunctions": [{"function": function} for function in functions], "rollout": {"maxUnavailable": "100%"}, **spec}
    return {**document, "metadata": {"name": name}, "spec": {**document["spec"], **changed}}


def revision(document: Document) -> str:
    return revision_name(document["metadata"]["name"], enforced(PolicySpec.model_validate(document["spec"])))


def healthy(flux: Flux, document: Document) -> Document:
    """The Kustomization when Flux, given this policy by a commit, says that it is healthy."""
    commit = flux.commit(document)
    flux.fetch(commit)
    return flux.judged(commit, "True", "ReconciliationSucceeded")


def failing(flux: Flux, agents: Agents, document: Document) -> Document:
    """The Kustomization when Flux, given a policy that one node cannot enforce, says that it is not healthy."""
    agents.behave([Behaviour("node-1", revision(document), State.FAILED, "FunctionNotFound", NO_FUNCTION)])
    commit = flux.commit(document)
    flux.fetch(commit)
    said = flux.judged(commit, "False", "HealthCheckFailed")
    flux.rig.until(document["metadata"]["name"], lambda one: is_true(one, "Stalled", "FunctionNotFound") and rolled_back(one))
    return said


def why(good: Document) -> str:
    """What the policy says after a commit that one node could not enforce."""
    name = good["metadata"]["name"]
    return f"node-1: FunctionNotFound: {NO_FUNCTION}; rolled back to {revision(good)}; edit the policy, or run `kubectl clew retry {name}`"


def without_durations(text: str) -> str:
    return re.sub(r"\d[\d.]*(ms|µs|s)", "…", text)


def logged(flux: Flux, label: str) -> list[Write]:
    """The writes of Clew's kinds until now: up to one that is made here, after which every earlier one has been logged."""
    log: Path = flux.rig.cluster.audit_log
    newest = flux.rig.list(REVISIONS)[0]["metadata"]["name"]
    flux.rig.cluster.kubectl("label", f"tracingrevisions/{newest}", f"test={label}")
    flux.rig.cluster.kubectl("label", f"tracingrevisions/{newest}", "test-")
    until(lambda: bool(writes(log)) and writes(log)[-1].manager == "kubectl-label")
    return [one for one in writes(log) if one.manager != "kubectl-label"]


def test_a_new_policy_is_healthy_when_it_is_rolled_out_and_not_before(installed: Flux, agents: Agents) -> None:
    for operator in installed.rig.operators:
        operator.stop()
    _, document = manifests()
    document["spec"]["rollout"]["steps"][0]["soak"] = "6s"
    commit = installed.commit(document)
    installed.fetch(commit)
    installed.checking(commit)
    installed.rig.start_operator()
    said = installed.judged(commit, "True", "ReconciliationSucceeded")
    status = installed.rig.policy("checkout")["status"]
    assert is_true(status, "Ready")
    assert status["message"] == "4 of 4 nodes ready"
    ready = next(one for one in status["conditions"] if one["type"] == "Ready")
    # Both are told in whole seconds; a check that had passed before the operator wrote anything would be older by the soak.
    assert condition(said, "Healthy")["lastTransitionTime"] >= ready["lastTransitionTime"]
    assert condition(said, "Ready")["message"] == f"Applied revision: {commit}"
    assert without_durations(condition(said, "Healthy")["message"]) == "Health check passed in …"


def test_a_commit_that_a_node_cannot_enforce_is_reported_and_a_revert_recovers(flux: Flux, agents: Agents) -> None:
    good, bad = policy("failing", "tcp_sendmsg"), policy("failing", "tcp_sendmsg", "tcp_x")
    healthy(flux, good)
    said = failing(flux, agents, bad)
    stalled = "failed early due to stalled resources: [TracingPolicy/failing status: 'Failed']"
    assert without_durations(condition(said, "Ready")["message"]) == f"health check failed after …: {stalled}"
    assert condition(said, "Healthy")["message"] == stalled
    # Flux names the object, and no more: the reason is in the object.
    found = flux.rig.policy("failing")
    assert found["spec"] == bad["spec"]
    assert (found["status"]["observedGeneration"], found["status"]["message"]) == (2, why(good))
    commit = flux.revert()
    flux.fetch(commit)
    said = flux.judged(commit, "True", "ReconciliationSucceeded")
    assert condition(said, "Ready")["message"] == f"Applied revision: {commit}"
    status = flux.rig.policy("failing")["status"]
    assert is_true(status, "Ready", "RolledOut")
    assert (status["observedGeneration"], status["revision"], status["stableRevision"]) == (3, revision(good), revision(good))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "ratio": (
        {"sampling": {"ratio": "2"}},
        r"""[spec.sampling.ratio: Invalid value: "2": spec.sampling.ratio in body should match '^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$', """
        r"""spec.sampling.ratio: Invalid value: "2": a decimal string from 0 to 1, such as "0.25"]""",
    ),
    "steps": (
        {"rollout": {"steps": [{"nodes": "50%"}, {"nodes": "50%"}, {"nodes": "100%"}]}},
        "spec.rollout.steps: Invalid value: nodes must be more than in the step before",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_commit_that_the_api_refuses_is_reported_with_the_field_and_what_is_allowed(flux: Flux, case: str) -> None:
    wrong, told = REFUSED[case]
    name = f"refused-{case}"
    healthy(flux, policy(name, "tcp_sendmsg"))
    before = flux.rig.policy(name)
    commit = flux.commit(policy(name, "tcp_recvmsg", **wrong))
    flux.fetch(commit)
    said = flux.judged(commit, "False", "ReconciliationFailed")
    message = condition(said, "Ready")["message"]
    assert message == f'TracingPolicy/{name} dry-run failed (Invalid): TracingPolicy.clew.dev "{name}" is invalid: {told}\n'
    assert flux.rig.policy(name) == before
    commit = flux.revert()
    flux.fetch(commit)
    flux.judged(commit, "True", "ReconciliationSucceeded")
    assert flux.rig.policy(name) == before


def test_a_commit_in_the_middle_of_a_rollout_is_applied_at_once(flux: Flux, agents: Agents) -> None:
    agents.behave([Behaviour(state=None)])
    first, second = policy("hurried", "tcp_sendmsg"), policy("hurried", "tcp_recvmsg")
    commit = flux.commit(first)
    flux.fetch(commit)
    flux.checking(commit)
    flux.rig.until("hurried", lambda one: is_true(one, "Reconciling"))
    commit = flux.commit(second)
    flux.fetch(commit)
    flux.checking(commit)
    assert flux.rig.policy("hurried")["spec"] == second["spec"]
    agents.behave([])
    flux.judged(commit, "True", "ReconciliationSucceeded")
    status = flux.rig.policy("hurried")["status"]
    assert (status["revision"], status["stableRevision"]) == (revision(second), revision(second))


def test_what_kubectl_writes_into_spec_is_taken_back(flux: Flux) -> None:
    good = policy("edited", "tcp_sendmsg")
    healthy(flux, good)
    edit = {"spec": {"kernelFunctions": [{"function": "tcp_recvmsg"}], "limits": {"spansPerRequest": 5}}}
    flux.rig.cluster.kubectl("patch", "tracingpolicies.clew.dev/edited", "--type=merge", "-p", json.dumps(edit))
    edited = revision(policy("edited", "tcp_recvmsg", limits={"spansPerRequest": 5}))
    flux.rig.until("edited", lambda one: is_true(one, "Ready") and one["stableRevision"] == edited)
    flux.reconcile()
    status = flux.rig.until("edited", lambda one: is_true(one, "Ready") and one["observedGeneration"] == 3)
    assert flux.rig.policy("edited")["spec"] == good["spec"]
    assert (status["revision"], status["stableRevision"]) == (revision(good), revision(good))


def test_what_another_manager_writes_into_fields_of_git_s_is_taken_back_and_its_own_fields_stay(flux: Flux) -> None:
    good = policy("shared", "tcp_sendmsg")
    healthy(flux, good)
    other = policy("shared", "tcp_recvmsg", limits={"spansPerRequest": 5})
    forced = ("--server-side", "--force-conflicts", "--field-manager=somebody")
    flux.rig.cluster.kubectl("apply", *forced, "-f-", input=json.dumps(other))
    flux.rig.until("shared", lambda one: is_true(one, "Ready") and one["stableRevision"] == revision(other))
    flux.reconcile()
    both = policy("shared", "tcp_sendmsg", limits={"spansPerRequest": 5})
    status = flux.rig.until("shared", lambda one: is_true(one, "Ready") and one["observedGeneration"] == 3)
    assert flux.rig.policy("shared")["spec"] == both["spec"]
    assert (status["revision"], status["stableRevision"]) == (revision(both), revision(both))


def test_a_rollback_and_flux_leave_each_other_alone(flux: Flux, agents: Agents) -> None:
    good, bad = policy("apart", "tcp_sendmsg"), policy("apart", "tcp_sendmsg", "tcp_x")
    healthy(flux, good)
    for node in NODES:  # until the policy of the test before is off it
        flux.rig.tracing_until(node, lambda one: [entry["name"] for entry in one["spec"]["policies"]] == ["apart"])
    first = len(logged(flux, "good"))
    failing(flux, agents, bad)
    rollback = logged(flux, "rolled-back")
    before = flux.rig.policy("apart")
    assert (before["metadata"]["generation"], before["spec"], before["status"]["message"]) == (2, bad["spec"], why(good))
    for _ in range(3):
        said = flux.reconcile()
        assert condition(said, "Ready")["reason"] == "HealthCheckFailed"
    assert logged(flux, "reconciled") == rollback
    assert flux.rig.policy("apart") == before
    revisions = [one["metadata"]["name"] for one in flux.rig.list(REVISIONS) if one["spec"]["policy"] == "apart"]
    assert sorted(revisions) == sorted([revision(good), revision(bad)])
    assert flux.rig.told("apart") == dict.fromkeys(NODES, revision(good))
    # From the bad commit on: Flux wrote the policy once, the operator made one revision, and told each node of it and back.
    story = rollback[first:]
    assert per_object(story, "tracingpolicies", "kustomize-controller") == {"apart": 1}
    assert per_object(story, "tracingrevisions", "clew-operator") == {revision(bad): 1}
    assert per_object(story, "nodetracings", "clew-operator") == dict.fromkeys(NODES, 2)
    assert Counter(one.manager for one in story if one.resource == "tracingpolicies") == {"kustomize-controller": 1}


def test_what_the_page_has_readers_look_at(flux: Flux, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, flux.rig.cluster.environment)
    good = policy("looked-at", "tcp_sendmsg")
    healthy(flux, good)
    assert "Applied revision: main@sha1:" in terminal.documented("kubectl get kustomizations -n flux-system")
    assert f"looked-at   True    {len(NODES)}" in terminal.documented("kubectl get ctp")
    assert "MESSAGE" in terminal.documented("kubectl get ctp -o wide")
