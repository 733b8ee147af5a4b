"""Cluster mode, put together."""

from __future__ import annotations

import threading
from pathlib import Path

from clew_agent.cluster.client import connect, own_namespace
from clew_agent.cluster.inventory import ClusterInventory
from clew_agent.cluster.status import StatusReporter
from clew_agent.cluster.tracing import NodePolicies
from clew_agent.mode import Mode


def open_cluster(kubeconfig: Path | None, node: str) -> Mode:
    """Begin to watch what concerns a node. What is known comes in as the API server answers. Raises ``ModeError``."""
    api = connect(kubeconfig)
    news = threading.Event()
    policies = NodePolicies(api, node, news.set)
    inventory = ClusterInventory(api, node, policies.policies, own_namespace(kubeconfig))
    return Mode(policies, inventory, StatusReporter(api, node, policies.told, news))
