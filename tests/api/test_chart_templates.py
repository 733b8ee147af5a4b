"""What the chart makes of values: exact facts on the objects, and every object as the oldest supported Kubernetes knows it."""

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # ships no types

from tests.api.installed import CHART
from tests.api.rendered import EVERYTHING, helm, rendered, settings

DEFAULT = {
    ("ClusterRole", "clew-agent"),
    ("ClusterRole", "clew-edit"),
    ("ClusterRole", "clew-operator"),
    ("ClusterRole", "clew-view"),
    ("ClusterRoleBinding", "clew-agent"),
    ("ClusterRoleBinding", "clew-operator"),
    ("CustomResourceDefinition", "nodetracings.clew.dev"),
    ("CustomResourceDefinition", "tracingpolicies.clew.dev"),
    ("CustomResourceDefinition", "tracingrevisions.clew.dev"),
    ("DaemonSet", "clew-agent"),
    ("Deployment", "clew-operator"),
    ("Job", "clew-test"),
    ("PodDisruptionBudget", "clew-operator"),
    ("PriorityClass", "clew"),
    ("Role", "clew-operator"),
    ("RoleBinding", "clew-operator"),
    ("Service", "clew-agent"),
    ("Service", "clew-operator"),
    ("ServiceAccount", "clew-agent"),
    ("ServiceAccount", "clew-operator"),
    ("ValidatingAdmissionPolicy", "clew-agent"),
    ("ValidatingAdmissionPolicyBinding", "clew-agent"),
}
SWITCHES = {
    "crds.install": {one for one in DEFAULT if one[0] == "CustomResourceDefinition"},
    "operator.podDisruptionBudget.enabled": {("PodDisruptionBudget", "clew-operator")},
    "admissionPolicy.enabled": {("ValidatingAdmissionPolicy", "clew-agent"), ("ValidatingAdmissionPolicyBinding", "clew-agent")},
    "priorityClass.create": {("PriorityClass", "clew")},
    "aggregateRoles.enabled": {("ClusterRole", "clew-edit"), ("ClusterRole", "clew-view")},
    "networkPolicy.enabled": {("NetworkPolicy", "clew-agent"), ("NetworkPolicy", "clew-operator")},
    "serviceMonitor.enabled": {("ServiceMonitor", "clew-agent"), ("ServiceMonitor", "clew-operator")},
    "prometheusRule.enabled": {("PrometheusRule", "clew")},
    "dashboard.enabled": {("ConfigMap", "clew-dashboard")},
}
CONFINED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
UNPRIVILEGED = {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}}


def pod(values: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    spec = rendered(values)[kind, name]["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def environment(values: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod(values, "DaemonSet", "clew-agent")["containers"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default", "everything"])
def test_lint_finds_nothing(values: dict[str, Any]) -> None:
    done = helm("lint", "--strict", CHART, *settings(values))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 chart(s) linted, 0 chart(s) failed"), done.stdout


def test_what_there_is_by_default() -> None:
    assert set(rendered()) == DEFAULT


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_part_has_a_switch(switch: str) -> None:
    is_default = SWITCHES[switch] <= DEFAULT
    assert set(rendered({switch: not is_default})) == DEFAULT ^ SWITCHES[switch]


def test_one_replica_has_no_disruption_budget() -> None:
    assert set(rendered({"operator.replicas": 1})) == DEFAULT - {("PodDisruptionBudget", "clew-operator")}


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default", "everything"])
@pytest.mark.parametrize(("kind", "name"), [("Deployment", "clew-operator"), ("Job", "clew-test")])
def test_the_operator_and_the_test_have_no_privileges(values: dict[str, Any], kind: str, name: str) -> None:
    spec = pod(values, kind, name)
    assert spec["securityContext"] == UNPRIVILEGED
    assert [container["securityContext"] for container in spec["containers"]] == [CONFINED]
    assert {"hostPID", "hostIPC", "hostNetwork"} & set(spec) == set()
    assert [list(volume) for volume in spec.get("volumes", [])] in ([], [["name", "emptyDir"]])


@pytest.mark.parametrize("admin", [False, True])
def test_the_agent_has_named_capabilities(admin: bool) -> None:
    spec = pod({"agent.sysAdmin": admin}, "DaemonSet", "clew-agent")
    (container,) = spec["containers"]
    named = ["BPF", "PERFMON", "NET_ADMIN", "SYSLOG", "SYS_PTRACE"]
    expected = {
        "runAsUser": 0,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": [*named, "SYS_ADMIN"] if admin else named},
        "seccompProfile": {"type": "RuntimeDefault"},
        "appArmorProfile": {"type": "Unconfined"},
    }
    if admin:  # the API server refuses the two together
        del expected["allowPrivilegeEscalation"]
    assert container["securityContext"] == expected
    assert spec["hostPID"] is True
    assert {"hostIPC", "hostNetwork"} & set(spec) == set()


def test_what_the_agent_sees_of_its_node() -> None:
    spec = pod({}, "DaemonSet", "clew-agent")
    (container,) = spec["containers"]
    places = {one["name"]: one.get("hostPath", {}).get("path") for one in spec["volumes"]}
    mounts = {one["mountPath"]: (places[one["name"]], one.get("readOnly", False)) for one in container["volumeMounts"]}
    assert mounts == {
        "/sys/fs/cgroup": ("/sys/fs/cgroup", True),
        "/sys/kernel/tracing": ("/sys/kernel/tracing", True),
        "/sys/kernel/security": ("/sys/kernel/security", True),
        "/run/clew": ("/run/clew", False),
        "/tmp": (None, False),
    }


def test_how_the_operator_is_called() -> None:
    (container,) = pod({"operator.logLevel": "debug"}, "Deployment", "clew-operator")["containers"]
    addresses = ["--health-address=$(POD_IP):8080", "--metrics-address=$(POD_IP):9464"]
    assert container["command"] + container["args"] == ["clew-operator", "run", *addresses, "--log-level=debug"]
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {
        "startupProbe": {"path": "/healthz", "port": "health"},
        "livenessProbe": {"path": "/healthz", "port": "health"},
        "readinessProbe": {"path": "/readyz", "port": "health"},
    }


def test_how_the_agent_is_called() -> None:
    (container,) = pod({}, "DaemonSet", "clew-agent")["containers"]
    assert container["command"] + container["args"] == [
        *("clew-agent", "run", "--cluster", "--node=$(NODE_NAME)", "--node-address=$(NODE_IP)"),
        *("--metrics-address=$(POD_IP):9464", "--log-level=info"),
    ]
    fields = {name: {"fieldRef": {"fieldPath": path}} for name, path in FIELDS.items()}
    assert environment({}) == {**fields, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


FIELDS = {"NODE_NAME": "spec.nodeName", "NODE_IP": "status.hostIP", "POD_IP": "status.podIP"}


def test_where_spans_go() -> None:
    secret = {"secretKeyRef": {"name": "collector", "key": "headers"}}
    more = [{"name": "OTEL_EXPORTER_OTLP_HEADERS", "valueFrom": secret}]
    found = environment({"otlp.endpoint": "http://collector:4317", "otlp.protocol": "grpc", "agent.env": more})
    assert {name: value for name, value in found.items() if name.startswith("OTEL_")} == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_HEADERS": secret,
    }


def test_headers_come_from_a_secret() -> None:
    found = environment({"otlp.headersFrom": {"secret": "collector"}})
    assert found["OTEL_EXPORTER_OTLP_HEADERS"] == {"secretKeyRef": {"name": "collector", "key": "headers"}}
    found = environment({"otlp.headersFrom": {"secret": "collector", "key": "token"}})
    assert found["OTEL_EXPORTER_OTLP_HEADERS"] == {"secretKeyRef": {"name": "collector", "key": "token"}}


@pytest.mark.parametrize(
    ("shown", "files"),
    [
        (False, {"CERTIFICATE": "ca.crt"}),
        (True, {"CERTIFICATE": "ca.crt", "CLIENT_CERTIFICATE": "tls.crt", "CLIENT_KEY": "tls.key"}),
    ],
)
def test_certificates_come_from_a_secret(shown: bool, files: dict[str, str]) -> None:
    values = {"otlp.endpoint": "https://collector:4318", "otlp.tls": {"secret": "collector-tls", "clientCertificate": shown}}
    named = {name: value for name, value in environment(values).items() if name.startswith("OTEL_") and not name.endswith("PROTOCOL")}
    assert named == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4318",
        **{f"OTEL_EXPORTER_OTLP_{name}": f"/etc/clew/otlp/{file}" for name, file in files.items()},
    }
    spec = pod(values, "DaemonSet", "clew-agent")
    items = [{"key": file, "path": file} for file in files.values()]
    secret = {"secretName": "collector-tls", "defaultMode": 0o400, "items": items}
    assert spec["volumes"][-1] == {"name": "otlp", "secret": secret}
    assert spec["containers"][0]["volumeMounts"][-1] == {"name": "otlp", "mountPath": "/etc/clew/otlp", "readOnly": True}


@pytest.mark.parametrize(
    ("values", "prefix", "tag"),
    [
        ({}, "clew", "0.1.0"),
        ({"image.repository": "registry.example.com/clew", "image.tag": "1.2.3"}, "registry.example.com/clew", "1.2.3"),
    ],
)
def test_each_part_runs_its_image(values: dict[str, Any], prefix: str, tag: str) -> None:
    parts = {("Deployment", "clew-operator"): "operator", ("DaemonSet", "clew-agent"): "agent", ("Job", "clew-test"): "operator"}
    for which, part in parts.items():
        assert [container["image"] for container in pod(values, *which)["containers"]] == [f"{prefix}/{part}:{tag}"]


def test_every_node_has_an_agent_and_replicas_spread() -> None:
    assert pod({}, "DaemonSet", "clew-agent")["tolerations"] == [{"operator": "Exists"}]
    spread = pod({}, "Deployment", "clew-operator")["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [({}, "clew"), ({"priorityClass.create": False}, None), ({"priorityClass": {"create": False, "name": "mine"}}, "mine")],
)
def test_priority(values: dict[str, Any], expected: str | None) -> None:
    assert pod(values, "Deployment", "clew-operator").get("priorityClassName") == expected
    assert pod(values, "DaemonSet", "clew-agent").get("priorityClassName") == expected


def test_definitions_are_the_checkouts_and_stay_on_uninstall() -> None:
    found = rendered()
    for path in (Path(CHART).parents[1] / "crds").glob("*.yaml"):
        source = yaml.safe_load(path.read_text())
        source["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
        assert found["CustomResourceDefinition", source["metadata"]["name"]] == source


def test_every_alert_links_its_runbook() -> None:
    rule = rendered({"prometheusRule.enabled": True, "prometheusRule.runbooks": "https://docs.example.test/runbooks"})[
        "PrometheusRule", "clew"
    ]
    (group,) = rule["spec"]["groups"]
    links = {one["alert"]: one["annotations"]["runbook_url"] for one in group["rules"]}
    assert links == {alert: f"https://docs.example.test/runbooks#{alert.lower()}" for alert in links}
    assert "ClewAgentDown" in links


def test_the_dashboard_arrives_whole() -> None:
    text = rendered({"dashboard.enabled": True})["ConfigMap", "clew-dashboard"]["data"]["clew.json"]
    assert json.loads(text) == json.loads(Path(CHART, "files/dashboard.json").read_text())


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"operator.replicas": 0}, "at '/operator/replicas': minimum: got 0, want 1"),
        ({"operator.replica": 1}, "at '/operator': additional properties 'replica' not allowed"),
        ({"otlp.protocol": "udp"}, "at '/otlp/protocol': value must be one of 'http/protobuf', 'grpc'"),
        ({"otlp.endpoint": "collector:4317"}, "at '/otlp/endpoint': 'collector:4317' does not match pattern '^(https?://.+)?$'"),
        (
            {"agent.updateStrategy.maxUnavailable": "some"},
            "at '/agent/updateStrategy/maxUnavailable': 'some' does not match pattern '^[0-9]+%?$'",
        ),
        ({"agent.sysAdmin": "yes"}, "at '/agent/sysAdmin': got string, want boolean"),
        (
            {"otlp.endpoint": "http://collector:4318", "otlp.tls.secret": "collector-tls"},
            "otlp.tls.secret is set, and otlp.endpoint http://collector:4318 is without TLS: it must begin with https://",
        ),
        (
            {"otlp.tls.clientCertificate": True},
            "otlp.tls.clientCertificate is true, and otlp.tls.secret names no Secret with tls.crt and tls.key",
        ),
        ({"otlp.headersFrom.key": ""}, "at '/otlp/headersFrom/key': minLength: got 0, want 1"),
        ({"networkPolicy.apiServerPorts": []}, "at '/networkPolicy/apiServerPorts': minItems: got 0, want 1"),
        ({"agents": {}}, "at '': additional properties 'agents' not allowed"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], problem: str) -> None:
    done = helm("template", "clew", CHART, *settings(values))
    assert done.returncode == 1
    assert problem in done.stderr


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default", "everything"])
def test_the_oldest_kubernetes_knows_every_field(values: dict[str, Any]) -> None:
    known = json.loads(lzma.decompress((Path(__file__).parent / "data/kubernetes-1.30.json.xz").read_bytes()))
    problems = {}
    for (kind, name), made in rendered(values).items():
        if made["apiVersion"] == "monitoring.coreos.com/v1":
            continue
        schema = {"$ref": f"#/definitions/{known['kinds'][made['apiVersion'] + '/' + kind]}", "definitions": known["definitions"]}
        problems[kind, name] = [error.message for error in Draft7Validator(schema).iter_errors(made)]
    assert {one: found for one, found in problems.items() if found} == {}
