"""Clew's CustomResourceDefinitions on a cluster of the tests."""

from pathlib import Path

from clew_lab.cluster import Cluster

CHECKOUT = Path(__file__).parents[2]


def install(cluster: Cluster, *more: Path) -> None:
    """Apply the generated definitions, and those in ``more``; return when the API server serves their kinds."""
    for path in (*sorted((CHECKOUT / "crds").glob("*.yaml")), *more):
        cluster.kubectl("apply", "--server-side", "-f", str(path))
    cluster.kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=30s")
