"""Bookinfo as pods of two real nodes, and the load generator as a pod beside it."""

import json
from collections import Counter

import pytest
from clew_lab.cluster import Cluster

from tests.cluster import shop

SECONDS = 20

pytestmark = pytest.mark.usefixtures("bookinfo")


def test_three_pods_are_on_each_node(cluster: Cluster) -> None:
    assert Counter(pod["spec"]["nodeName"] for pod in shop.pods(cluster)) == {"worker-1": 3, "worker-2": 3}


def test_the_page_is_whole(cluster: Cluster) -> None:
    page = shop.ask(cluster, "productpage", "/productpage?id=0")
    assert "<h1>The Comedy of Errors</h1>" in page
    assert page.count("<blockquote>") == 2


def test_each_version_of_reviews_answers_in_its_own_way(cluster: Cluster) -> None:
    answers = [json.loads(shop.ask(cluster, "reviews", "/reviews/0")) for _ in range(40)]
    ratings = {answer["version"]: [review.get("rating") for review in answer["reviews"]] for answer in answers}
    assert ratings == {
        "v1": [None, None],
        "v2": [{"stars": 5, "color": "black"}, {"stars": 4, "color": "black"}],
        "v3": [{"stars": 5, "color": "red"}, {"stars": 4, "color": "red"}],
    }


def test_a_service_may_not_write_its_root_file_system(cluster: Cluster) -> None:
    script = "import os; print(os.getuid()); open('/tmp/x', 'w')"
    tried = cluster.kubectl("exec", "--namespace=bookinfo", "deployment/productpage", "--", "python3", "-c", script, check=False)
    assert tried.stdout == "65532\n"
    assert "Read-only file system: '/tmp/x'" in tried.stderr


def test_load_runs_as_a_pod_and_no_request_fails(cluster: Cluster) -> None:
    told = shop.load(cluster, "load", "--concurrency", "4", "--seconds", str(SECONDS))
    assert told["requests"] > SECONDS
    assert (told["failures"], told["failed"]) == (0, [])
