"""The Bookinfo-like application of ``examples/bookinfo``: how each service is started, in pods of a guest and in its image.

The services are programs of their own, in four languages; this only knows their command lines and where the others are.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from clew_lab.pods import LabPod, PodNetwork

__all__ = ["NAMESPACE", "PORT", "Service", "compile_reviews", "services", "start"]

NAMESPACE = "bookinfo"
PORT = 9080
_START_SECONDS = 420.0
_RUBY = ("ruby", "--disable=did_you_mean", "--disable=error_highlight", "--disable=syntax_suggest")
_JAVA = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto")


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its name, its command line, and what its environment adds."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def services(sources: Path, classes: Path, python: str = sys.executable) -> tuple[Service, ...]:
    """The four services, callees first. ``sources`` is ``examples/bookinfo``; ``classes`` holds the compiled reviews."""
    patience = {"UPSTREAM_TIMEOUT": "60"}
    return (
        Service("details", (*_RUBY, str(sources / "details/details.rb"))),
        Service("ratings", ("node", str(sources / "ratings/ratings.js"))),
        Service("reviews", (*_JAVA, "-cp", str(classes), "Reviews"), {"RATINGS_URL": f"http://ratings:{PORT}", **patience}),
        Service(
            "productpage",
            (python, str(sources / "productpage/productpage.py")),
            {"DETAILS_URL": f"http://details:{PORT}", "REVIEWS_URL": f"http://reviews:{PORT}", **patience},
        ),
    )


def compile_reviews(sources: Path, cache: Path) -> Path:
    """Compile the Java service unless ``cache`` has it already; returns the folder of its classes.

    An emulated processor takes tens of seconds for it, so the result is kept by the hash of its source.
    """
    source = sources / "reviews/Reviews.java"
    classes = cache / hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    if not (classes / "Reviews.class").exists():
        classes.mkdir(parents=True, exist_ok=True)
        subprocess.run(["javac", "-J-XX:TieredStopAtLevel=1", "-d", str(classes), str(source)], check=True)
    return classes


def start(network: PodNetwork, sources: Path, classes: Path, log: IO[str] | int) -> dict[str, LabPod]:
    """Make the four pods, start every service at once, and wait until all listen. Output of the services goes to ``log``.

    Raises :class:`clew_lab.pods.PodError` naming the service that did not come up.
    """
    chosen = services(sources, classes)
    pods = {service.name: network.pod(service.name, NAMESPACE, labels={"app": service.name}) for service in chosen}
    for service in chosen:
        environment = {**os.environ, "PORT": str(PORT), **service.environment}
        pods[service.name].popen(service.argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    for pod in pods.values():
        pod.wait_listening(PORT, timeout=_START_SECONDS)
    return pods
