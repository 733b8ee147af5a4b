"""API tests speak to a real API server: `cluster` is a fresh control plane for each module."""

from collections.abc import Iterator

import pytest
from clew_lab.cluster import Cluster, start_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with start_cluster() as running:
        yield running
