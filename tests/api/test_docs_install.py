"""What the docs tell to type about the chart, typed on a control plane: installing, upgrading, export by TLS, Argo CD, removing."""

from __future__ import annotations

import json
import re

import pytest
from clew_lab.cluster import Cluster

from tests.api.installed import NAMESPACE
from tests.docs.terminal import Terminal

NODES = 3


@pytest.fixture(scope="module")
def terminal(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    cluster.add_nodes(NODES)
    return Terminal(tmp_path_factory.mktemp("reader"), cluster.environment)


def test_installing(terminal: Terminal) -> None:
    terminal.documented("kubectl create namespace clew-system")
    terminal.documented("kubectl label namespace clew-system pod-security.kubernetes.io/enforce=privileged")
    said = terminal.documented(
        "helm install clew charts/clew --namespace clew-system --wait --set otlp.endpoint=http://otel-collector.observability:4318"
    )
    assert "STATUS: deployed" in said
    pods = terminal.documented("kubectl --namespace clew-system get deployments,daemonsets")
    assert "deployment.apps/clew-operator   2/2" in pods
    assert "daemonset.apps/clew-agent   3         3         3" in pods
    kinds = terminal.documented("kubectl api-resources --categories=clew")
    assert [line.split()[-1] for line in kinds.splitlines()[1:]] == ["NodeTracing", "TracingPolicy", "TracingRevision"]


def test_what_the_chart_says_when_it_is_installed(terminal: Terminal) -> None:
    """Its notes have commands, too."""
    notes = terminal.run(f"helm get notes clew --namespace {NAMESPACE}").stdout
    commands = re.findall(r"^  ((?:kubectl|helm) .*)$", notes, re.MULTILINE)
    assert len(commands) == 4
    for done in map(terminal.run, commands):
        assert done.returncode == 0, done.stdout


def test_upgrading_and_rolling_back(terminal: Terminal) -> None:
    """The values that were set are kept by the one, and are there again after the other."""
    said = terminal.documented("helm upgrade clew charts/clew --namespace clew-system --reset-then-reuse-values --wait")
    assert "REVISION: 2" in said
    assert "successfully rolled out" in terminal.documented("kubectl --namespace clew-system rollout status daemonset/clew-agent")
    terminal.documented("helm rollback clew --namespace clew-system --wait")
    history = terminal.documented("helm history clew --namespace clew-system").splitlines()
    assert [line.split()[0] for line in history[1:]] == ["1", "2", "3"]
    assert history[3].rstrip().endswith("Rollback to 1")
    values = terminal.run(f"helm get values clew --namespace {NAMESPACE} --output json")
    assert json.loads(values.stdout) == {"otlp": {"endpoint": "http://otel-collector.observability:4318"}}


def test_headers_and_certificates_for_the_collector(terminal: Terminal, cluster: Cluster) -> None:
    for name in ("ca.crt", "tls.crt", "tls.key"):
        (terminal.folder / name).write_text(name)
    terminal.documented(
        "kubectl --namespace clew-system create secret generic collector "
        "--from-literal=headers='authorization=Bearer%20TOKEN,x-tenant=blue'"
    )
    terminal.documented(
        "kubectl --namespace clew-system create secret generic collector-tls --from-file=ca.crt --from-file=tls.crt --from-file=tls.key"
    )
    terminal.documented(
        "helm upgrade clew charts/clew --namespace clew-system --reuse-values "
        "--set otlp.endpoint=https://otel-collector.observability:4318 --set otlp.headersFrom.secret=collector "
        "--set otlp.tls.secret=collector-tls --set otlp.tls.clientCertificate=true"
    )
    agent = json.loads(cluster.kubectl("get", "daemonset", "clew-agent", f"--namespace={NAMESPACE}", "--output=json").stdout)
    pod = agent["spec"]["template"]["spec"]
    headers = {one["name"]: one.get("valueFrom") for one in pod["containers"][0]["env"]}["OTEL_EXPORTER_OTLP_HEADERS"]
    assert headers == {"secretKeyRef": {"name": "collector", "key": "headers"}}
    assert "collector-tls" in json.dumps(pod["volumes"])
    assert "restarted" in terminal.documented("kubectl --namespace clew-system rollout restart daemonset/clew-agent")


def test_health_of_policies_for_argo_cd(terminal: Terminal, cluster: Cluster) -> None:
    """What else is in the ConfigMap stays."""
    cluster.kubectl("create", "namespace", "argocd")
    cluster.kubectl("create", "configmap", "argocd-cm", "--namespace=argocd", "--from-literal=url=https://argocd.example.com")
    terminal.documented(
        "kubectl --namespace argocd create configmap argocd-cm --dry-run=client --output yaml "
        "--from-file resource.customizations.health.clew.dev_TracingPolicy=charts/clew/argocd/health.lua "
        "| kubectl apply --server-side --field-manager clew-health -f -"
    )
    data = json.loads(cluster.kubectl("get", "configmap", "argocd-cm", "--namespace=argocd", "--output=json").stdout)["data"]
    script = (terminal.folder / "charts/clew/argocd/health.lua").read_text()
    assert data == {"url": "https://argocd.example.com", "resource.customizations.health.clew.dev_TracingPolicy": script}


def test_removing(terminal: Terminal, cluster: Cluster) -> None:
    said = terminal.documented("helm uninstall clew --namespace clew-system")
    assert said.count("[CustomResourceDefinition]") == 3
    gone = terminal.documented("kubectl delete crd tracingpolicies.clew.dev tracingrevisions.clew.dev nodetracings.clew.dev")
    assert gone.count("deleted") == 3
    assert cluster.kubectl("get", "customresourcedefinitions", "--output=name").stdout == ""


def test_installing_as_the_front_page_has_it(terminal: Terminal, cluster: Cluster) -> None:
    assert "STATUS: deployed" in terminal.documented("helm install clew charts/clew --namespace clew-system --create-namespace")
    cluster.helm("uninstall", "clew", "--namespace", NAMESPACE, "--wait")


def test_installing_as_the_chart_s_page_has_it(terminal: Terminal, cluster: Cluster) -> None:
    said = terminal.documented(
        "helm install clew charts/clew --namespace clew-system --create-namespace "
        "--set otlp.endpoint=http://otel-collector.observability:4318"
    )
    assert "STATUS: deployed" in said
    cluster.helm("uninstall", "clew", "--namespace", NAMESPACE, "--wait")


def test_the_book_shop_out_of_a_registry_of_one_s_own(terminal: Terminal, cluster: Cluster) -> None:
    page = (terminal.folder / "examples/bookinfo/README.md").read_text()
    text = page.split("```yaml\n")[1].split("```")[0]
    own = terminal.folder / "own"
    own.mkdir()
    (own / "kustomization.yaml").write_text(text.replace("PATH/TO", ".."))
    terminal.documented("kubectl apply -k .", {"-k .": "-k own"})
    images = "jsonpath={.items[*].spec.template.spec.containers[*].image}"
    found = cluster.kubectl("get", "deployments", "--namespace=bookinfo", f"--output={images}").stdout.split()
    assert len(found) == 6
    assert all(image.startswith("registry.example.com/bookinfo-") for image in found)


def test_the_book_shop_where_nodes_have_its_images(terminal: Terminal) -> None:
    terminal.documented("kubectl apply -k examples/bookinfo/manifests")
    terminal.documented("kubectl wait --namespace bookinfo deployments --all --for=condition=Available --timeout=5m")
