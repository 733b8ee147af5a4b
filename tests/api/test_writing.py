"""Who may write what: revisions never change, status and spec are written apart, and lists are merged item by item."""

import json
from typing import Any

import pytest
from clew_lab.cluster import Cluster

from tests.api import definitions

HEAD = "apiVersion: clew.dev/v1alpha1\n"
POLICY = HEAD + "kind: TracingPolicy\nmetadata: {name: p}\n"
NODE = HEAD + "kind: NodeTracing\nmetadata: {name: n1}\n"
REVISION = HEAD + "kind: TracingRevision\nmetadata: {name: p-1}\n"
MADE = REVISION + "spec: {policy: p, policyUid: u1, enforced: {namespaces: [shop]}}\n"
NEVER = "spec: Invalid value: what it was made with: a revision never changes, and a changed policy gets another\n"


@pytest.fixture(scope="module", autouse=True)
def _definitions(cluster: Cluster) -> None:
    definitions.install(cluster)
    apply(cluster, MADE)


def apply(cluster: Cluster, text: str, *more: str) -> None:
    cluster.kubectl("apply", "--server-side", "--validate=strict", *more, "-f", "-", input=text)


def read(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.kubectl("get", f"{kind}.clew.dev", name, "-o", "json").stdout)
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["apply", "--server-side", "-f", "-"],
        ["apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-"],
        ["replace", "-f", "-"],
        ["apply", "-f", "-"],
    ],
    ids=["apply", "another manager", "replace", "older apply"],
)
def test_a_revision_never_changes(cluster: Cluster, command: list[str]) -> None:
    refused = cluster.kubectl(*command, input=MADE.replace("[shop]", "[shop, till]"), check=False)
    assert refused.stderr.endswith(f'The TracingRevision "p-1" is invalid: {NEVER}')


@pytest.mark.parametrize(
    "patch", ['{"spec":{"policyUid":"u2"}}', '{"spec":{"policyUid":null}}', '{"spec":{"enforced":{"sampling":{"ratio":"0"}}}}']
)
def test_a_revision_is_not_patched(cluster: Cluster, patch: str) -> None:
    refused = cluster.kubectl("patch", "tracingrevisions.clew.dev", "p-1", "--type=merge", "-p", patch, check=False)
    assert refused.stderr == f'The TracingRevision "p-1" is invalid: {NEVER}'


def test_a_revision_takes_requests_from_another_manager(cluster: Cluster) -> None:
    before = read(cluster, "tracingrevisions", "p-1")["spec"]
    for request in ({"id": "r1", "action": "Promote", "step": 2}, {"id": "r2", "action": "Abort"}):
        apply(cluster, REVISION + f"request: {json.dumps(request)}\n", "--field-manager=kubectl-clew")
        after = read(cluster, "tracingrevisions", "p-1")
        assert (after["request"], after["spec"]) == (request, before)


def test_status_and_spec_of_a_policy_are_written_apart(cluster: Cluster) -> None:
    apply(cluster, POLICY + "spec: {namespaces: [shop]}\nstatus: {step: 9/9}\n")
    assert read(cluster, "tracingpolicies", "p")["status"] == {"observedGeneration": 0}
    status = {"observedGeneration": 0, "step": "1/2"}
    apply(cluster, POLICY + "spec: {namespaces: [till]}\nstatus: {step: 1/2}\n", "--subresource=status", "--field-manager=operator")
    both = read(cluster, "tracingpolicies", "p")
    assert (both["spec"], both["status"], both["metadata"]["generation"]) == ({"namespaces": ["shop"]}, status, 1)
    apply(cluster, POLICY + "spec: {namespaces: [till]}\n")
    both = read(cluster, "tracingpolicies", "p")
    assert (both["spec"], both["status"], both["metadata"]["generation"]) == ({"namespaces": ["till"]}, status, 2)


def test_conditions_are_merged_by_type(cluster: Cluster) -> None:
    def condition(of: str, status: str) -> dict[str, str]:
        return {"type": of, "status": status, "reason": "Because", "lastTransitionTime": "2026-11-25T10:00:00Z"}

    for manager, held in (
        ("one", condition("Ready", "True")),
        ("two", condition("Stalled", "False")),
        ("one", condition("Ready", "False")),
    ):
        status = json.dumps({"conditions": [held]})
        apply(cluster, POLICY + f"status: {status}\n", "--subresource=status", f"--field-manager={manager}")
    conditions = read(cluster, "tracingpolicies", "p")["status"]["conditions"]
    assert [(one["type"], one["status"]) for one in conditions] == [("Ready", "False"), ("Stalled", "False")]


def test_a_nodes_policies_are_merged_by_name(cluster: Cluster) -> None:
    for manager, name in (("one", "a"), ("two", "b")):
        apply(cluster, NODE + f"spec: {{policies: [{{name: {name}, revision: {name}-1}}]}}\n", f"--field-manager={manager}")
    apply(cluster, NODE + "spec: {policies: [{name: a, revision: a-2}]}\n", "--field-manager=one")
    node = read(cluster, "nodetracings", "n1")
    assert node["spec"]["policies"] == [{"name": "a", "revision": "a-2"}, {"name": "b", "revision": "b-1"}]
    apply(cluster, NODE + "spec: {}\n", "--field-manager=one")
    assert read(cluster, "nodetracings", "n1")["spec"]["policies"] == [{"name": "b", "revision": "b-1"}]


def test_a_time_that_is_none_is_refused(cluster: Cluster) -> None:
    status = '{"rollout": {"stepStartedTime": "2026-13-25T10:00:00Z"}}'
    text = POLICY + f"status: {status}\n"
    refused = cluster.kubectl("apply", "--server-side", "--subresource=status", "-f", "-", input=text, check=False)
    assert refused.stderr.splitlines()[1] == (
        '* status.rollout.stepStartedTime: Invalid value: "2026-13-25T10:00:00Z": '
        'rollout.stepStartedTime in body must be of type date-time: "2026-13-25T10:00:00Z"'
    )
