"""Each service of Bookinfo out of its image, asked over loopback, and the load generator out of its own."""

import json
import os
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from clew_lab.images import bookinfo
from clew_lab.images.build import images
from clew_lab.images.debian import STATUS_FOLDER
from clew_lab.images.oci import digest_of

from tests.images.container import Container, unpacked

Shop = Mapping[str, Container]

NAMES = ["bookinfo-details", "bookinfo-productpage", "bookinfo-ratings", "bookinfo-reviews", "load"]
TEXTS = {
    "Reviewer1": "Two pairs of twins, one town, and nobody is who he seems. I laughed from the first page.",
    "Reviewer2": "Great fun, though its plot is thinner than the thread that holds it together.",
}
COMEDY = {
    "id": 0,
    "title": "The Comedy of Errors",
    "author": "William Shakespeare",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "Publisher A",
    "language": "English",
    "isbn": "1234567890",
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """What is in each image, by its name without repository and tag."""
    tars = {name.partition("/")[2].partition(":")[0]: tar for name, tar in images().items()}
    return {name: unpacked(tars[name], tmp_path_factory.mktemp(name)) for name in NAMES}


def command(container: Container, files: Path, *arguments: str, **environment: str) -> list[str]:
    """The command line that runs what the image is for."""
    told = [*container.config["Env"], *(f"{name}={value}" for name, value in environment.items())]
    told_of = replace(container, config={**container.config, "Env": told})
    return told_of.command(*container.config["Entrypoint"], *arguments, files=files)


def process_1(process: subprocess.Popen[str]) -> int:
    """The container's first process: two of unshare(1) stand before it, and each waits for its only child."""
    pid = process.pid
    for _ in range(2):
        (pid,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return pid


@contextmanager
def started(container: Container, files: Path, says: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A service that listens, and its port. `says` is what it calls itself then; its log is read on, so that it is never held up."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    argv = command(container, files, PORT=str(port), **environment)
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        reading = threading.Thread(target=process.stderr.read)
        try:
            said: list[str] = []
            while f"{says} listens on {port}\n" not in said[-1:]:
                said.append(process.stderr.readline())
                assert said[-1], f"it ended: {said}"
            reading.start()
            yield process, port
        finally:
            process.kill()
            if reading.ident is not None:
                reading.join()


@contextmanager
def service(container: Container, files: Path, says: str, **environment: str) -> Iterator[str]:
    """A service that listens; gives its URL."""
    with started(container, files, says, **environment) as (_, port):
        yield f"http://127.0.0.1:{port}"


def ask(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def document(url: str) -> tuple[int, Any]:
    status, text = ask(url)
    return status, json.loads(text)


@contextmanager
def ratings_stand_in() -> Iterator[tuple[str, list[str]]]:
    """A ratings service that knows one reviewer, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"id": 0, "ratings": {"Reviewer2": 3}}')

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_details(programs: Shop, files: Path) -> None:
    with service(programs["bookinfo-details"], files, "details") as url:
        assert document(f"{url}/details/0") == (200, COMEDY)
        assert document(f"{url}/details/1")[1]["title"] == "Metamorphoses"
        assert document(f"{url}/details/7") == (404, {"error": "no book 7"})
        assert document(f"{url}/details/x") == (400, {"error": "please give the number of a book"})
        assert document(f"{url}/health") == (200, {"status": "details is healthy"})


def test_ratings(programs: Shop, files: Path) -> None:
    with service(programs["bookinfo-ratings"], files, "ratings") as url:
        assert document(f"{url}/ratings/0") == (200, {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}})
        assert document(f"{url}/ratings/7") == (404, {"error": "no ratings of book 7"})
        assert document(f"{url}/ratings/x") == (400, {"error": "please give the number of a book"})
        assert ask(f"{url}/ratings/0", "POST") == (405, '{"error":"POST is not allowed"}')
        assert document(f"{url}/health") == (200, {"status": "ratings is healthy"})


@pytest.mark.parametrize(("version", "color"), [("v1", None), ("v2", "black"), ("v3", "red")])
def test_reviews(programs: Shop, files: Path, version: str, color: str | None) -> None:
    first, second = ({"reviewer": reviewer, "text": text} for reviewer, text in TEXTS.items())
    rated = second if color is None else {**second, "rating": {"stars": 3, "color": color}}
    with ratings_stand_in() as (ratings, asked):
        with service(programs["bookinfo-reviews"], files, f"reviews {version}", SERVICE_VERSION=version, RATINGS_URL=ratings) as url:
            assert document(f"{url}/reviews/0") == (200, {"id": 0, "version": version, "reviews": [first, rated]})
            assert document(f"{url}/reviews/x") == (400, {"error": "please give the number of a book"})
            assert document(f"{url}/health") == (200, {"status": "reviews is healthy"})
        assert asked == ([] if color is None else ["/ratings/0"])


@pytest.fixture(scope="module")
def shop(programs: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The product page with all that it needs."""
    files = tmp_path_factory.mktemp("nothing")
    with ExitStack() as stack:
        details = stack.enter_context(service(programs["bookinfo-details"], files, "details"))
        ratings = stack.enter_context(service(programs["bookinfo-ratings"], files, "ratings"))
        reviews = stack.enter_context(service(programs["bookinfo-reviews"], files, "reviews v3", RATINGS_URL=ratings))
        page = service(programs["bookinfo-productpage"], files, "productpage", DETAILS_URL=details, REVIEWS_URL=reviews)
        yield stack.enter_context(page)


def test_the_page_of_all_four(shop: str) -> None:
    status, text = ask(f"{shop}/productpage?id=0")
    assert status == 200
    assert "<h1>The Comedy of Errors</h1>" in text
    first, second = TEXTS.values()
    assert f'<blockquote>{first}<footer>Reviewer1 <span style="color:red">★★★★★</span></footer></blockquote>' in text
    assert f'<blockquote>{second}<footer>Reviewer2 <span style="color:red">★★★★</span></footer></blockquote>' in text


def test_load_is_sent_out_of_its_image(shop: str, programs: Shop, files: Path) -> None:
    argv = command(programs["load"], files, f"{shop}/productpage", "--rate", "50", "--seconds", "0.2", "--json")
    told = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
    assert (told["requests"], told["failures"], sorted(told["latency_ms"])) == (10, 0, ["max", "p50", "p90", "p99"])


@pytest.mark.parametrize(
    ("name", "says", "status"),
    [("details", "details", 0), ("ratings", "ratings", 0), ("productpage", "productpage", 0), ("reviews", "reviews v3", 143)],
)
def test_a_service_ends_when_it_is_told_to(programs: Shop, files: Path, name: str, says: str, status: int) -> None:
    """It is process 1 of its container, whose signals count only if it listens to them."""
    with started(programs[f"bookinfo-{name}"], files, says) as (process, _):
        os.kill(process_1(process), signal.SIGTERM)
        assert process.wait(60) == status


@pytest.mark.parametrize("name", NAMES)
def test_an_image_runs_as_an_ordinary_user_and_has_no_shell(programs: Shop, name: str) -> None:
    container = programs[name]
    assert container.config["User"] == "65532:65532"
    assert [path for path in ("bin/sh", "usr/bin/dpkg", "usr/bin/apt") if (container.root / path).exists()] == []
    assert (container.root / STATUS_FOLDER / "libc6").read_text().startswith("Package: libc6\n")


def test_the_same_sources_give_the_same_images(tmp_path: Path) -> None:
    made = images()
    for recipe in bookinfo.recipes():
        again = tmp_path / "again.tar"
        recipe.write(again)
        assert digest_of(again) == digest_of(made[recipe.name])


def test_there_are_none_for_another_architecture() -> None:
    assert bookinfo.recipes("arm64") == []
