"""Clew's CustomResourceDefinitions on a cluster of the tests."""

import time
from pathlib import Path

from clew_lab.cluster import Cluster

CHECKOUT = Path(__file__).parents[2]


def install(cluster: Cluster, *more: Path) -> None:
    """Apply the generated definitions, and those in ``more``; return when the API server serves their kinds."""
    files = [f"--filename={path}" for path in (*sorted((CHECKOUT / "crds").glob("*.yaml")), *more)]
    cluster.kubectl("apply", "--server-side", *files)
    cluster.kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=30s")


def await_explained(cluster: Cluster, *resources: str) -> None:
    """Return when ``kubectl explain`` knows ``resources``: the API server publishes schemas some time after it serves the kinds.

    It tells nobody when, so this asks again and again, for half a minute at most.
    """
    deadline = time.monotonic() + 30
    for resource in resources:
        while (asked := cluster.kubectl("explain", resource, check=False)).returncode != 0:
            assert time.monotonic() < deadline, asked.stderr
            time.sleep(0.1)
