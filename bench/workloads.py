"""What is measured: rows of load, each on a pair of services of which the front calls the back.

A runtime or a load is one row here. A row that cannot run in this guest says what is missing and stays in the report.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GO_SERVICE", "WORKLOADS", "Runtime", "Workload", "runtimes"]

GO_SERVICE = Path("build/bench/service")
"""Where the host's part leaves the Go services, below the checkout: one static program, so that the guest needs no toolchain."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """How the services of a pair are started, but for the last word, ``front`` or ``back``.

    ``missing`` says why they cannot be, and is empty where they can.
    """

    argv: tuple[str, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """One row: ``connections`` in a closed loop or, with ``rate`` (requests per second), an open one."""

    name: str
    runtime: str
    connections: int
    rate: float | None = None


WORKLOADS = (
    Workload("Python thread-per-request, c=1", "python", 1),
    Workload("Python thread-per-request, c=8", "python", 8),
    Workload("Python thread-per-request, c=32", "python", 32),
    Workload("Python thread-per-request, 20 requests/s", "python", 16, rate=20),
    Workload("Go net/http, c=8", "go", 8),
)


def runtimes(checkout: Path) -> dict[str, Runtime]:
    """The runtimes by name, as they can be started in this guest."""
    go = checkout / GO_SERVICE
    return {
        "python": Runtime((sys.executable, str(checkout / "bench/service.py"))),
        "go": Runtime((str(go),), "" if go.exists() else "no Go toolchain on the host to build bench/service.go with"),
    }
