"""The product page against stand-ins of the services it calls, and how the application is started."""

from __future__ import annotations

import importlib.util
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from clew_lab.images import bookinfo as images
from clew_lab.pods import LabPod, hosts_lines, parse_listening

SOURCES = Path(__file__).parents[2] / "examples/bookinfo"
DETAILS = {"title": "A & B", "author": "W", "year": 1, "pages": 2, "publisher": "P", "language": "L", "isbn": "3"}
REVIEWS = {"reviews": [{"reviewer": "R1", "text": "<fun>", "rating": {"stars": 2, "color": "red"}}, {"reviewer": "R2", "text": "dull"}]}


class StandIn(BaseHTTPRequestHandler):
    """Answers as details and reviews would."""

    def do_GET(self) -> None:
        documents = {"/details/0": DETAILS, "/reviews/0": REVIEWS}
        self.send_response(200 if self.path in documents else 404)
        self.end_headers()
        self.wfile.write(json.dumps(documents.get(self.path, {})).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def productpage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("productpage", SOURCES / "productpage/productpage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.Handler, "log_message", lambda *_: None)
    return module


@pytest.fixture
def page(productpage: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with ExitStack() as stack:
        upstream = stack.enter_context(served(StandIn))
        monkeypatch.setattr(productpage, "DETAILS_URL", upstream)
        monkeypatch.setattr(productpage, "REVIEWS_URL", upstream)
        yield stack.enter_context(served(productpage.Handler))


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def test_the_page_shows_details_and_reviews(page: str) -> None:
    status, text = fetch(f"{page}/productpage")
    assert status == 200
    assert "<h1>A &amp; B</h1>" in text
    assert "<dt>Pages</dt><dd>2</dd>" in text
    assert '<blockquote>&lt;fun&gt;<footer>R1 <span style="color:red">★★</span></footer></blockquote>' in text
    assert "<blockquote>dull<footer>R2</footer></blockquote>" in text


def test_a_book_nobody_knows_still_has_a_page(page: str) -> None:
    status, text = fetch(f"{page}/productpage?id=7")
    assert status == 200
    assert "the details of this book are not available now" in text
    assert "reviews of this book are not available now" in text


@pytest.mark.parametrize(("path", "status"), [("/health", 200), ("/productpage?id=x", 400), ("/other", 404)])
def test_statuses(page: str, path: str, status: int) -> None:
    assert fetch(page + path)[0] == status


def test_the_manifests_name_the_images_that_are_made() -> None:
    named = yaml.safe_load((SOURCES / "manifests/kustomization.yaml").read_text())["images"]
    made = {recipe.name for recipe in images.recipes()}
    assert {f"{image['name']}:{image['newTag']}" for image in named} == {name for name in made if "bookinfo" in name}
    assert len(made) == len(named) + 1


def test_hosts_name_pods_as_cluster_dns_does() -> None:
    pod = LabPod(1, "ratings", "bookinfo", ("Deployment", "ratings"), {}, True, "")
    assert hosts_lines([pod]) == "10.244.1.2\tratings ratings.bookinfo ratings.bookinfo.svc.cluster.local\n"


def test_an_entry_of_the_inventory() -> None:
    pod = LabPod(2, "db", "shop", ("StatefulSet", "db"), {"tier": "data"}, True, "")
    assert pod.document() == {
        "name": "db",
        "namespace": "shop",
        "uid": pod.uid,
        "cgroup": f"/kubepods/besteffort/pod{pod.uid}",
        "addresses": ["10.244.1.3", "fd00:244:1::3"],
        "labels": {"tier": "data"},
        "workload": {"kind": "StatefulSet", "name": "db"},
    }


def test_listening_ports_of_a_proc_table() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue\n"
        "   0: 00000000:2378 00000000:0000 0A 00000000:00000000\n"
        "   1: 0201F40A:2379 0101F40A:9C40 01 00000000:00000000\n"
        "   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000\n"
    )
    assert parse_listening(table) == {9080, 80}
