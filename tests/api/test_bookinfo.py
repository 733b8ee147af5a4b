"""The manifests of Bookinfo on a real API server and scheduler: what they make, that it may run restricted, and where it is put."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clew_lab.cluster import Cluster

from tests.api.rest import until

MANIFESTS = Path(__file__).parents[2] / "examples/bookinfo/manifests"
DEPLOYMENTS = ("details", "productpage", "ratings", "reviews-v1", "reviews-v2", "reviews-v3")
SERVICES = ("details", "productpage", "ratings", "reviews")


@pytest.fixture(scope="module")
def pods(cluster: Cluster) -> list[dict[str, Any]]:
    """The pods of the application on two nodes, when all of them are ready."""
    cluster.add_nodes(["one", "two"])
    cluster.kubectl("apply", "--kustomize", str(MANIFESTS))
    wait_available(cluster)
    return pods_of(cluster)


def wait_available(cluster: Cluster) -> None:
    cluster.kubectl("wait", "--namespace=bookinfo", "deployments", "--all", "--for=condition=Available", "--timeout=120s")


def pods_of(cluster: Cluster) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(cluster.kubectl("get", "pods", "--namespace=bookinfo", "--output=json").stdout)["items"]
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def test_the_server_takes_every_object_as_it_is_written(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--filename", str(MANIFESTS / "namespace.yaml"))
    tried = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "--kustomize", str(MANIFESTS))
    assert sorted(tried.stdout.splitlines()) == [
        *(f"deployment.apps/{name} created (server dry run)" for name in DEPLOYMENTS),
        "namespace/bookinfo configured (server dry run)",
        *(f"service/{name} created (server dry run)" for name in SERVICES),
    ]
    assert tried.stderr == ""


def test_the_namespace_takes_restricted_pods_only(pods: list[dict[str, Any]], cluster: Cluster) -> None:
    assert len(pods) == len(DEPLOYMENTS)
    refused = cluster.kubectl("run", "load", "--namespace=bookinfo", "--image=example.test/load:1", check=False)
    assert 'violates PodSecurity "restricted:latest"' in refused.stderr


def test_pods_are_spread_evenly(pods: list[dict[str, Any]]) -> None:
    assert Counter(pod["spec"]["nodeName"] for pod in pods) == {"one": 3, "two": 3}


def test_each_service_has_the_pods_of_its_name(pods: list[dict[str, Any]], cluster: Cluster) -> None:
    """The controller that makes the slices may come after the one that calls a Deployment available."""

    def behind() -> Counter[str]:
        slices = json.loads(cluster.kubectl("get", "endpointslices", "--namespace=bookinfo", "--output=json").stdout)["items"]
        found: Counter[str] = Counter()
        for one in slices:
            assert [port["port"] for port in one["ports"]] == [9080]
            found[one["metadata"]["labels"]["kubernetes.io/service-name"]] += len(one["endpoints"])
        return found

    until(lambda: behind().total() == len(pods))
    assert behind() == {"details": 1, "productpage": 1, "ratings": 1, "reviews": 3}


def test_services_are_told_where_the_others_are(pods: list[dict[str, Any]]) -> None:
    told = {
        pod["metadata"]["name"].rsplit("-", 2)[0]: {one["name"]: one["value"] for one in pod["spec"]["containers"][0].get("env", [])}
        for pod in pods
    }
    ratings = {"RATINGS_URL": "http://ratings:9080", "UPSTREAM_TIMEOUT": "60"}
    assert told == {
        "details": {},
        "productpage": {"DETAILS_URL": "http://details:9080", "REVIEWS_URL": "http://reviews:9080", "UPSTREAM_TIMEOUT": "60"},
        "ratings": {},
        "reviews-v1": {"SERVICE_VERSION": "v1"},
        "reviews-v2": {"SERVICE_VERSION": "v2", **ratings},
        "reviews-v3": {"SERVICE_VERSION": "v3", **ratings},
    }


@pytest.mark.usefixtures("pods")
def test_one_node_takes_all_when_the_other_may_take_none(cluster: Cluster) -> None:
    cluster.kubectl("cordon", "two")
    cluster.kubectl("delete", "pods", "--namespace=bookinfo", "--all")
    wait_available(cluster)
    assert Counter(pod["spec"]["nodeName"] for pod in pods_of(cluster)) == {"one": 6}
