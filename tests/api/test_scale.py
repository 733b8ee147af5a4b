"""A policy goes out to 1,000 nodes in one step: what it costs the operator and the API server. Nodes are kwok's, agents simulated."""

from dataclasses import fields

from clew_lab.cluster import Cluster

from tests.api.operators import rig
from tests.api.scale import measure
from tests.figures import Record

NODES = 1000


def test_a_thousand_nodes_in_one_step(cluster: Cluster, record_property: Record) -> None:
    with rig(cluster) as running:
        cost = measure(running, NODES)
    for field in fields(cost):
        value = getattr(cost, field.name)
        record_property(field.name, f"{value:.2f}" if isinstance(value, float) else value)
    # For each node one write as it joins, and one that tells it the revision; each is answered. The rest is the policy's own.
    assert (cost.operator_writes_most, cost.agent_writes_most) == (2, 2)
    assert cost.agent_writes == 2
    assert cost.operator_writes <= 2.05
    assert cost.status_bytes <= 1024
    assert cost.peak_rss_mib <= 256
