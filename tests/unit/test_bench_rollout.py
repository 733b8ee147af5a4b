"""The tables of the benchmark of rollouts."""

from bench.rollout import render
from tests.api.scale import Cost


def test_what_was_measured_and_what_it_is_per_node() -> None:
    small = Cost(500, 4.0, 6.0, 2.0, 3.0, 80.0, 2.01, 2, 2.0, 2, 830)
    large = Cost(5000, 40.0, 66.0, 16.0, 30.0, 160.4, 2.001, 2, 2.0, 2, 836)
    assert render([small, large]).splitlines() == [
        "| nodes | start, s | rollout, s | CPU start, s | CPU rollout, s | peak RSS, MiB "
        "| writes per node, operator | writes per node, agent | status, bytes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| 500 | 4.0 | 6.0 | 2.0 | 3.0 | 80 | 2.01 | 2.00 | 830 |",
        "| 5,000 | 40.0 | 66.0 | 16.0 | 30.0 | 160 | 2.00 | 2.00 | 836 |",
        "",
        "Per node, relative to 500 nodes:",
        "",
        "| nodes | start, s | rollout, s | CPU start, s | CPU rollout, s |",
        "| --- | --- | --- | --- | --- |",
        "| 500 | 1.00 | 1.00 | 1.00 | 1.00 |",
        "| 5,000 | 1.00 | 1.10 | 0.80 | 1.00 |",
    ]
