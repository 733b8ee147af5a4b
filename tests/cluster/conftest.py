"""Cluster tests run on real nodes: `cluster` is one control plane with two of them, brought up once for all modules here.

A package with an `__init__.py`, so that the cluster's scope is this folder: it has ended before other tests want the processors.
"""

import time
from collections.abc import Iterator

import pytest
from clew_lab.backends.beside import start_jaeger
from clew_lab.backends.running import Jaeger
from clew_lab.cluster import Cluster, start_cluster
from clew_lab.nodes.machine import LabNode, nodes_below
from clew_lab.nodes.starting import start_nodes

from tests.cluster import clew, shop
from tests.cluster.received import Spans, receiver
from tests.docs import quickstart
from tests.docs.terminal import Terminal

NODE_LEASE = 60


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    with start_cluster(node_lease=NODE_LEASE) as running:
        start_nodes(running, ["6.12", "6.1"])
        yield running


@pytest.fixture(scope="package")
def nodes(cluster: Cluster) -> dict[str, LabNode]:
    return nodes_below(cluster.folder)


@pytest.fixture(scope="package")
def terminal(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Where what the docs say is typed."""
    return Terminal(tmp_path_factory.mktemp("reader"), cluster.environment)


@pytest.fixture(scope="package")
def bookinfo(cluster: Cluster, terminal: Terminal) -> None:
    """All pods of the application, ready; `test_clew_uninstall.py` takes them away."""
    shop.start(cluster, terminal)


@pytest.fixture(scope="package")
def spans() -> Iterator[Spans]:
    """Where agents may send spans."""
    with receiver() as running:
        yield running


@pytest.fixture(scope="package")
def installed(terminal: Terminal, spans: Spans) -> float:
    """Clew, installed by its chart; the seconds that it took. `test_clew_uninstall.py` takes it away."""
    return clew.install(terminal, spans.url)


@pytest.fixture(scope="package")
def policy(terminal: Terminal, bookinfo: None, installed: float) -> float:
    """The example's policy, Ready on both nodes; the seconds since 1970 when it was applied."""
    began = time.time()
    quickstart.trace(terminal)
    return began


@pytest.fixture(scope="package")
def jaeger(cluster: Cluster) -> Jaeger:
    """It holds what all modules here have sent to it."""
    return start_jaeger(cluster)
