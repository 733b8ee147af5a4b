"""The chart on a real control plane: every object is taken, and installing, upgrading, rolling back and removing do what they say."""

import json
import lzma
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from clew_lab.cluster import Cluster

from tests.api.installed import CHART, NAMESPACE, NODES, POLICY, install
from tests.api.rendered import EVERYTHING, Objects, rendered, settings
from tests.api.rest import GROUP, Client, bound_token

DATA = Path(__file__).parent / "data"
DEFINITIONS = ["nodetracings.clew.dev", "tracingpolicies.clew.dev", "tracingrevisions.clew.dev"]


@pytest.fixture(scope="module")
def admin(cluster: Cluster) -> Iterator[Client]:
    """The chart is installed, with the kinds of the Prometheus operator beside it."""
    cluster.add_nodes(NODES)
    prometheus = lzma.decompress((DATA / "prometheus-operator.yaml.xz").read_bytes()).decode()
    cluster.kubectl("apply", "--server-side", "-f", "-", input=prometheus)
    cluster.kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=30s")
    install(cluster)
    with Client(cluster, cluster.admin_token) as client:
        yield client


def helm(cluster: Cluster, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return cluster.helm(*arguments, "--namespace", NAMESPACE, check=check)


def upgrade(cluster: Cluster, values: dict[str, Any], chart: str = CHART) -> None:
    helm(cluster, "upgrade", "clew", chart, "--wait", "--timeout", "120s", *settings(values))


def revisions(cluster: Cluster) -> list[tuple[int, str]]:
    return [(one["revision"], one["status"]) for one in json.loads(helm(cluster, "history", "clew", "--output", "json").stdout)]


def agents_level(admin: Client) -> str:
    """The log level that running agents were given, by their pods' arguments."""
    pods = admin.get(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io/component%3Dagent")["items"]
    (level,) = {arg.partition("=")[2] for one in pods for arg in one["spec"]["containers"][0]["args"] if arg.startswith("--log-level=")}
    return str(level)


def described(admin: Client) -> str:
    definition = admin.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tracingpolicies.clew.dev")
    return str(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"])


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default", "everything"])
def test_the_newest_kubernetes_takes_every_object(cluster: Cluster, admin: Client, values: dict[str, Any]) -> None:
    objects = rendered(values)
    text = yaml.safe_dump_all(objects.values())
    done = cluster.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-", input=text)
    assert done.stderr == ""
    taken = [line for line in done.stdout.splitlines() if line.endswith(" serverside-applied (server dry run)")]
    assert len(taken) == len(objects)


def test_the_operator_meets_the_restricted_standard_and_the_agent_the_privileged_one(cluster: Cluster, admin: Client) -> None:
    namespace = {"metadata": {"name": "restricted", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    assert admin.ask("POST", "/api/v1/namespaces", namespace).code == 201
    objects = rendered()
    answers = {one: admin.ask("POST", "/api/v1/namespaces/restricted/pods?dryRun=All", as_pod(objects, one)) for one in WORKLOADS}
    assert {one: answer.code for one, answer in answers.items()} == {"Deployment": 201, "Job": 201, "DaemonSet": 403}
    assert answers["DaemonSet"].message.partition("restricted:latest")[2] == (
        '": forbidden AppArmor profile (container "agent" must not set AppArmor profile type to "Unconfined"), '
        "host namespaces (hostPID=true), "
        'unrestricted capabilities (container "agent" must not include "BPF", "NET_ADMIN", "PERFMON", "SYSLOG", "SYS_PTRACE" in '
        "securityContext.capabilities.add), "
        'restricted volume types (volumes "cgroup", "tracing", "security", "run" use restricted volume type "hostPath"), '
        'runAsNonRoot != true (pod or container "agent" must set securityContext.runAsNonRoot=true), '
        'runAsUser=0 (container "agent" must not set runAsUser=0)'
    )


WORKLOADS = {"Deployment": "clew-operator", "Job": "clew-test", "DaemonSet": "clew-agent"}


def as_pod(objects: Objects, kind: str) -> dict[str, Any]:
    spec = objects[kind, WORKLOADS[kind]]["spec"]["template"]["spec"] | {"serviceAccountName": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"}, "spec": spec}


def test_what_is_installed_runs(cluster: Cluster, admin: Client) -> None:
    pods = admin.get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    found = sorted(
        (one["metadata"]["labels"]["app.kubernetes.io/component"], one["status"]["phase"], one["spec"]["nodeName"]) for one in pods
    )
    assert found == [(part, "Running", node) for part in ("agent", "operator") for node in NODES]
    assert "Phase:          Succeeded" in helm(cluster, "test", "clew").stdout


def test_a_second_release_is_refused(cluster: Cluster, admin: Client) -> None:
    done = cluster.helm("install", "other", CHART, "--namespace", "other", "--create-namespace", check=False)
    assert done.returncode == 1
    assert 'annotation validation error: key "meta.helm.sh/release-name" must equal "other": current value is "clew"' in done.stderr


def test_an_upgrade_reaches_agents_and_kinds_and_a_rollback_takes_both_back(cluster: Cluster, admin: Client, tmp_path: Path) -> None:
    before = described(admin)
    newer = tmp_path / "clew"
    shutil.copytree(CHART, newer)
    path = newer / "files/crds/tracingpolicies.clew.dev.yaml"
    definition = yaml.safe_load(path.read_text())
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "Of a newer chart."
    path.write_text(yaml.safe_dump(definition))
    upgrade(cluster, {"agent.logLevel": "debug"}, str(newer))
    assert (described(admin), agents_level(admin)) == ("Of a newer chart.", "debug")
    helm(cluster, "rollback", "clew", "1", "--wait", "--timeout", "120s")
    assert (described(admin), agents_level(admin)) == (before, "info")
    assert revisions(cluster) == [(1, "superseded"), (2, "superseded"), (3, "deployed")]


def test_switches_take_effect_on_upgrade(cluster: Cluster, admin: Client) -> None:
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/clew-agent"
    monitors = f"/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/servicemonitors/clew-agent"
    assert (admin.ask("GET", policies).code, admin.ask("GET", monitors).code) == (200, 404)
    upgrade(cluster, {"admissionPolicy.enabled": False, "serviceMonitor.enabled": True})
    assert (admin.ask("GET", policies).code, admin.ask("GET", monitors).code) == (404, 200)
    upgrade(cluster, {"crds.install": False})
    assert (admin.ask("GET", policies).code, admin.ask("GET", monitors).code) == (200, 404)
    assert definitions(admin) == DEFINITIONS
    upgrade(cluster, {})


def definitions(admin: Client) -> list[str]:
    listed = admin.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
    return sorted(one["metadata"]["name"] for one in listed if one["spec"]["group"] == "clew.dev")


def test_kinds_and_policies_outlive_an_uninstall_and_are_taken_up_again(cluster: Cluster, admin: Client) -> None:
    assert admin.ask("POST", f"{GROUP}/tracingpolicies", POLICY).code == 201
    helm(cluster, "uninstall", "clew", "--wait", "--timeout", "60s")
    kinds = {one[0] for one in rendered()} - {"CustomResourceDefinition", "Job"}
    left = cluster.kubectl("get", ",".join(kinds), "--all-namespaces", "--selector=app.kubernetes.io/name=clew", "--output=name").stdout
    assert left == ""
    assert definitions(admin) == DEFINITIONS
    install(cluster)
    assert admin.get(f"{GROUP}/tracingpolicies/bookinfo")["spec"]["namespaces"] == ["bookinfo"]


@pytest.fixture
def operators_url() -> Iterator[str]:
    """Something that answers as the operator's health port does."""

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run_test_script(cluster: Cluster, token: str, folder: Path, operator: str) -> subprocess.CompletedProcess[str]:
    """What the Job of `helm test` runs, as its pod would; kwok's pods only say that they ran."""
    (folder / "token").write_text(token)
    shutil.copy(cluster.ca, folder / "ca.crt")
    (container,) = rendered()["Job", "clew-test"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python3", "-c"]
    environment = {**os.environ, "SERVICE_ACCOUNT_FOLDER": str(folder), "API_URL": cluster.url, "OPERATOR_URL": operator}
    assert {one["name"] for one in container["env"]} == {"API_URL", "OPERATOR_URL"}
    return subprocess.run([sys.executable, "-c", *container["args"]], env=environment, capture_output=True, text=True, check=False)


def test_the_script_of_helm_test(cluster: Cluster, admin: Client, operators_url: str, tmp_path: Path) -> None:
    operator = bound_token(admin, NAMESPACE, "clew-operator")
    done = run_test_script(cluster, operator, tmp_path, operators_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the operator answers\ntracingpolicies: 1\ntracingrevisions: 0\nnodetracings: 0\n"
    done = run_test_script(cluster, operator, tmp_path, f"{operators_url}/elsewhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"GET {operators_url}/elsewhere/healthz: 404 Not Found")
    done = run_test_script(cluster, bound_token(admin, NAMESPACE, "default"), tmp_path, operators_url)
    assert done.returncode == 1
    assert "/apis/clew.dev/v1alpha1/tracingpolicies: 403 Forbidden" in done.stderr
