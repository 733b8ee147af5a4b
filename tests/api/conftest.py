"""API tests speak to a real API server: `cluster` is a fresh control plane for each module; the rest is what several modules do with it."""

from collections.abc import Iterator

import pytest
from clew_lab.agents import Agents, running_agents
from clew_lab.cluster import Cluster, start_cluster

from tests.api import cli_rig, definitions
from tests.api.installed import administered
from tests.api.rest import Client


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with start_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def kinds(cluster: Cluster) -> None:
    """Clew's kinds are served."""
    definitions.install(cluster)


@pytest.fixture(scope="module")
def admin(cluster: Cluster) -> Iterator[Client]:
    """The chart and Clew's objects on two nodes, and a client that may do everything."""
    with administered(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def everyone(cluster: Cluster, kinds: None) -> Iterator[Agents]:
    """The simulated agents of all nodes."""
    with running_agents(cluster.kubeconfig) as made:
        yield made


@pytest.fixture
def agents(everyone: Agents) -> Agents:
    """The same; a test begins with all well."""
    everyone.behave([])
    return everyone


@pytest.fixture(scope="module")
def plugin(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[cli_rig.Rig]:
    """``kubectl clew``; Clew itself is not installed."""
    made = cli_rig.Rig(cluster, tmp_path_factory.mktemp("plugin"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def rolling(plugin: cli_rig.Rig) -> cli_rig.Rig:
    """``kubectl clew``, and the objects of a rollout."""
    plugin.install()
    return plugin


@pytest.fixture
def soaking(rolling: cli_rig.Rig) -> cli_rig.Rig:
    """The policy soaks in its first step."""
    rolling.say()
    return rolling
