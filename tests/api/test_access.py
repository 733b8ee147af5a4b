"""What an agent may write, tried with real tokens bound to its pod: every verb on every kind and subresource of Clew's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.installed import AGENT, NAMESPACE, NODES, OPERATOR, POLICY, REVISION, agent_pod, tracing
from tests.api.rest import APPLY_PATCH, GROUP, JSON_PATCH, MERGE_PATCH, Answer, Client, bound_token, until

NOTHING_ELSE = "Clew's agents write the status of NodeTracing and nothing else"
NO_NODE = "the token names no node: Clew's agents write with the token of their own pod"
OTHER_NODE = "the agent of node node-a writes the NodeTracing of that node alone"
DRY = "dryRun=All"


@pytest.fixture(scope="module")
def agent(admin: Client) -> Client:
    """The agent of node-a, with a token bound to its pod."""
    await_admission_policy(admin)
    return admin.with_token(token_of_pod(admin, "node-a"))


@pytest.fixture
def mighty_agent(admin: Client, agent: Client) -> Iterator[Client]:
    """The same, while somebody has given the agents' service account every right."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "mistake"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "clew-agent", "namespace": NAMESPACE}],
    }
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    assert admin.ask("POST", bindings, binding).code == 201
    until(lambda: agent.ask("GET", "/api/v1/secrets?limit=1").code == 200)
    yield agent
    assert admin.ask("DELETE", f"{bindings}/mistake").code == 200
    until(lambda: agent.ask("GET", "/api/v1/secrets?limit=1").code == 403)


def token_of_pod(admin: Client, node: str) -> str:
    pod = agent_pod(admin, node)
    return bound_token(admin, NAMESPACE, "clew-agent", "Pod", pod["metadata"]["name"], pod["metadata"]["uid"])


def await_admission_policy(admin: Client) -> None:
    """As an impersonated agent of no node, since an admin may impersonate."""
    path = f"{GROUP}/nodetracings/node-a/status?{DRY}"
    until(lambda: admin.ask("PATCH", path, {"status": {}}, MERGE_PATCH, {"Impersonate-User": AGENT}).code == 403)


@dataclass(frozen=True, slots=True)
class Write:
    """One way to write; ``what`` names it in results."""

    what: str
    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"

    def by(self, client: Client) -> Answer:
        mark = "&" if "?" in self.path else "?"
        return client.ask(self.method, f"{self.path}{mark}{DRY}", self.body, self.content_type)


def writes(admin: Client) -> list[Write]:
    """Every verb that writes, on every kind and subresource that the API server has in Clew's group, for an object that is there."""
    names = {"tracingpolicies": "bookinfo", "tracingrevisions": "bookinfo-0123456789", "nodetracings": "node-a"}
    found = []
    for resource in admin.get(GROUP)["resources"]:
        collection, _, subresource = resource["name"].partition("/")
        for name in NODES if collection == "nodetracings" else (names[collection],):
            present = admin.get(f"{GROUP}/{collection}/{name}")
            whole = {key: present[key] for key in ("apiVersion", "kind", "spec")}
            path = f"{GROUP}/{collection}/{name}" + (f"/{subresource}" if subresource else "")
            what = f"{resource['name']} {name}"
            label = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]
            found += [
                Write(f"update {what}", "PUT", path, present),
                Write(f"json patch {what}", "PATCH", path, label, JSON_PATCH),
                Write(f"merge patch {what}", "PATCH", path, {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH),
                Write(f"apply {what}", "PATCH", f"{path}?fieldManager=x&force=true", whole | {"metadata": {"name": name}}, APPLY_PATCH),
            ]
            if not subresource:
                found.append(Write(f"delete {what}", "DELETE", path))
        if not subresource:
            made = {"tracingpolicies": POLICY, "tracingrevisions": REVISION, "nodetracings": tracing("")}[collection]
            fresh = made | {"metadata": {"name": "node-c"}}
            apply = f"{GROUP}/{collection}/node-c?fieldManager=x"
            found += [
                Write(f"create {collection} node-c", "POST", f"{GROUP}/{collection}", fresh),
                Write(f"create {collection} anew", "POST", f"{GROUP}/{collection}", made | {"metadata": {"name": names[collection]}}),
                Write(f"create by apply {collection} node-c", "PATCH", apply, fresh, APPLY_PATCH),
                Write(f"deletecollection {collection}", "DELETE", f"{GROUP}/{collection}"),
            ]
    return found


def test_the_list_of_writes_is_whole(admin: Client) -> None:
    resources = {resource["name"]: set(resource["verbs"]) for resource in admin.get(GROUP)["resources"]}
    all_verbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    status_verbs = {"get", "patch", "update"}
    assert resources == {
        "nodetracings": all_verbs,
        "nodetracings/status": status_verbs,
        "tracingpolicies": all_verbs,
        "tracingpolicies/status": status_verbs,
        "tracingrevisions": all_verbs,
    }
    every = writes(admin)
    assert len({one.what for one in every}) == len(every) == 22 + 13 + 9
    there = {f"create {one} anew": 409 for one in ("nodetracings", "tracingpolicies", "tracingrevisions")}
    assert {one.what: answer.code for one in every if (answer := one.by(admin)).code >= 300} == there


def test_an_agent_patches_the_status_of_its_node_and_that_is_all(admin: Client, agent: Client) -> None:
    answers = {one.what: one.by(agent) for one in writes(admin)}
    assert {what for what, answer in answers.items() if answer.code < 300} == {
        "json patch nodetracings/status node-a",
        "merge patch nodetracings/status node-a",
        "apply nodetracings/status node-a",
    }
    assert {answer.code for answer in answers.values()} == {200, 403}
    by_policy = {what for what, answer in answers.items() if answer.message.endswith(f"denied request: {OTHER_NODE}")}
    assert by_policy == {
        "json patch nodetracings/status node-b",
        "merge patch nodetracings/status node-b",
        "apply nodetracings/status node-b",
    }


def test_an_agent_with_every_right_still_writes_the_status_of_its_node_alone(admin: Client, mighty_agent: Client) -> None:
    answers = {one.what: one.by(mighty_agent) for one in writes(admin)}
    ways = {f"{how} nodetracings/status {{}}" for how in ("update", "json patch", "merge patch", "apply")}
    assert {what for what, answer in answers.items() if answer.code < 300} == {way.format("node-a") for way in ways}
    refused = {what: answer for what, answer in answers.items() if answer.code >= 300}
    assert {answer.code for answer in refused.values()} == {403}
    assert {what for what, answer in refused.items() if OTHER_NODE in answer.message} == {way.format("node-b") for way in ways}
    assert {what for what, answer in refused.items() if OTHER_NODE not in answer.message and NOTHING_ELSE not in answer.message} == set()


def test_a_status_is_really_written_and_nothing_slips_in_with_it(admin: Client, agent: Client) -> None:
    path = f"{GROUP}/nodetracings/node-a"
    before = admin.get(path)
    status = {"agentVersion": "0.1.0", "kernel": {"release": "6.1.0"}}
    sly = {
        "metadata": {"name": "node-a", "labels": {"a": "b"}, "annotations": {"a": "b"}, "finalizers": ["example.test/mine"]},
        "spec": {"policies": [{"name": "bookinfo", "revision": "bookinfo-0123456789"}]},
    }
    answer = agent.apply(f"{path}/status", {"kind": "NodeTracing", **sly, "status": status}, "clew-agent")
    assert answer.code == 200, answer
    after = admin.get(path)
    assert {key: after["status"][key] for key in status} == status
    assert after["spec"] == before["spec"]
    kept = set(before["metadata"]) - {"resourceVersion", "managedFields"}
    assert {key: after["metadata"].get(key) for key in kept} == {key: before["metadata"][key] for key in kept}
    assert set(after["metadata"]) == set(before["metadata"])


def test_a_token_that_names_no_node_or_another_writes_nothing_here(admin: Client, agent: Client) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "anchor"}}
    made = admin.ask("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", secret).body["metadata"]
    tokens = {
        "unbound": bound_token(admin, NAMESPACE, "clew-agent"),
        "bound to a secret": bound_token(admin, NAMESPACE, "clew-agent", "Secret", made["name"], made["uid"]),
        "of node-b's pod": token_of_pod(admin, "node-b"),
    }
    path = f"{GROUP}/nodetracings/node-a/status"
    answers = {name: admin.with_token(token).ask("PATCH", path, {"status": {}}, MERGE_PATCH) for name, token in tokens.items()}
    assert {name: (answer.code, answer.message.partition("denied request: ")[2]) for name, answer in answers.items()} == {
        "unbound": (403, NO_NODE),
        "bound to a secret": (403, NO_NODE),
        "of node-b's pod": (403, "the agent of node node-b writes the NodeTracing of that node alone"),
    }


def test_an_agent_cannot_be_somebody_else(admin: Client, agent: Client) -> None:
    claim = "Impersonate-Extra-authentication.kubernetes.io%2Fnode-name"
    disguises = [
        {"Impersonate-User": OPERATOR},
        {"Impersonate-User": "admin", "Impersonate-Group": "system:masters"},
        {"Impersonate-User": AGENT},
        {"Impersonate-User": AGENT, claim: "node-b"},
        {"Impersonate-User": "system:node:node-b", "Impersonate-Group": "system:nodes"},
    ]
    path = f"{GROUP}/nodetracings/node-b/status"
    answers = [agent.ask("PATCH", path, {"status": {}}, MERGE_PATCH, disguise) for disguise in disguises]
    assert [answer.code for answer in answers] == [403] * len(disguises)
    assert [f'User "{AGENT}" cannot impersonate' in answer.message for answer in answers] == [True] * len(disguises)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
    for account in ("clew-agent", "clew-operator"):
        assert agent.ask("POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token", request).code == 403


def test_an_impersonated_agent_is_held_as_well(admin: Client, agent: Client) -> None:
    """Whoever may impersonate agents gets no further than they, and without a claim nowhere."""
    path = f"{GROUP}/nodetracings/node-b/status?{DRY}"
    claim = "Impersonate-Extra-authentication.kubernetes.io%2Fnode-name"

    def message(**extra: str) -> str:
        answer = admin.ask("PATCH", path, {"status": {}}, MERGE_PATCH, {"Impersonate-User": AGENT, **extra})
        return answer.message.partition("denied request: ")[2]

    assert message() == NO_NODE
    assert message(**{claim: "node-a"}) == OTHER_NODE
