"""The arithmetic of the benchmark on two nodes, and the texts it reads and writes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import yaml
from clew_crds.load import parse_policies

from bench.cluster_report import (
    AGENT,
    FULL,
    LOADS,
    REQUESTS,
    WITHOUT,
    Found,
    Run,
    Weight,
    agent_requests,
    parse_weight,
    per_hour,
    render,
    without_functions,
)
from tests.cluster.shop import POLICY

STAT = "{pid} ({name}) S 1 {pid} {pid} 0 -1 4194560 9 8 7 6 {utime} {stime} {cutime} {cstime} 20 0 5 0 100 1000 25 18446744073709551615\n"
CLEW = {"group": "clew.dev"}


def event(verb: str, stage: str, reference: dict[str, str] | None, user: str = AGENT) -> str:
    """A line of the audit log, as far as it is read; of no object where there is no reference."""
    whole: dict[str, Any] = {"verb": verb, "stage": stage, "user": {"username": user}, "requestURI": "/version"}
    return json.dumps(whole if reference is None else whole | {"objectRef": reference}) + "\n"


def test_what_processes_weigh_is_added_up() -> None:
    text = (
        STAT.format(pid=10, name="clew-agent", utime=150, stime=50, cutime=300, cstime=25)
        + "VmRSS:\t   70000 kB\n"
        + STAT.format(pid=11, name="a (b) c", utime=5, stime=1, cutime=0, cstime=0)
        + "VmRSS:\t     512 kB\n"
    )
    assert parse_weight(text) == Weight(70512, 5.31)


def test_a_process_that_has_just_ended_has_no_memory() -> None:
    assert parse_weight(STAT.format(pid=10, name="x", utime=1, stime=2, cutime=3, cstime=4)) == Weight(0, 0.1)


def test_an_agent_that_is_gone_weighs_nothing_that_could_be_told() -> None:
    with pytest.raises(ValueError, match=r"^no process of the agent: its container is gone$"):
        parse_weight("")


def test_requests_of_agents_count_once() -> None:
    pods = {"resource": "pods"}
    lines = [
        event("list", "ResponseComplete", pods),
        event("watch", "ResponseStarted", pods),
        event("watch", "ResponseComplete", pods),
        event("watch", "ResponseStarted", pods),
        event("patch", "ResponseComplete", {"resource": "nodetracings", "subresource": "status"} | CLEW),
        event("get", "ResponseComplete", {"resource": "tracingrevisions"} | CLEW),
        event("get", "ResponseComplete", None),
        event("list", "ResponseComplete", pods, "system:serviceaccount:clew-system:clew-operator"),
    ]
    assert agent_requests(lines) == {
        ("list", "pods"): 1,
        ("watch", "pods"): 2,
        ("patch", "nodetracings/status"): 1,
        ("get", "tracingrevisions"): 1,
        ("get", "/version"): 1,
    }


def test_a_line_that_is_being_written_is_left() -> None:
    line = event("list", "ResponseComplete", {"resource": "pods"})
    assert agent_requests([line, line[:30]]) == {("list", "pods"): 1}


def test_figures_of_an_hour() -> None:
    assert (per_hour(7, 10), per_hour(1, 120)) == (42.0, 0.5)


def test_a_policy_without_functions_is_the_same_but_for_them() -> None:
    text = POLICY.read_text()
    (plain,) = parse_policies(without_functions(text), "plain")
    (full,) = parse_policies(text, "full")
    assert full.spec.kernel_functions
    assert plain == full.model_copy(update={"spec": full.spec.model_copy(update={"kernel_functions": ()})})
    assert yaml.safe_load(without_functions(text)) == json.loads(without_functions(text))


def run(ms: int, cpu: float) -> Run:
    """20 requests by each load; two of them took ten times as long."""
    latencies = [ms * 1_000_000] * 18 + [ms * 10_000_000] * 2
    return Run(dict.fromkeys(LOADS, latencies), 50, {"one": Weight(71680, cpu), "other": Weight(61440, 2 * cpu)})


def test_the_report() -> None:
    found = Found(
        steps={"helm install to Ready": [90.0], "kubectl apply to Ready: requests alone": [40.0, 20.0, 24.0]},
        rounds=[
            {WITHOUT: run(100, 0.1), REQUESTS: run(110, 0.2), FULL: run(120, 0.3)},
            {FULL: run(300, 0.5), REQUESTS: run(240, 0.3), WITHOUT: run(200, 0.2)},
        ],
        minutes=10.0,
        at_rest=Counter({("watch", "pods"): 4, ("patch", "nodetracings/status"): 3}),
        cpu_at_rest={"one": 1.0, "other": 0.5},
        lost={"kernel_ring_full": 2.0},
        exported=12345.0,
    )
    assert render(found) == (
        "With the policy over without it, round by round; of all rounds the median, and the extremes:\n\n"
        "| load | policy | round | p50 | p95 | mean |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        + "".join(
            f"| {load} | requests alone | 1 | 1.10 | 1.10 | 1.10 |\n"
            f"| {load} | requests alone | 2 | 1.20 | 1.20 | 1.20 |\n"
            f"| {load} | requests alone | all | 1.15 (1.10 to 1.20) | 1.15 (1.10 to 1.20) | 1.15 (1.10 to 1.20) |\n"
            f"| {load} | kernel functions, too | 1 | 1.20 | 1.20 | 1.20 |\n"
            f"| {load} | kernel functions, too | 2 | 1.50 | 1.50 | 1.50 |\n"
            f"| {load} | kernel functions, too | all | 1.35 (1.20 to 1.50) | 1.35 (1.20 to 1.50) | 1.35 (1.20 to 1.50) |\n"
            for load in ("closed loop, 1 connection", "open loop, 2 requests/s")
        )
        + "\nLatency, medians of the rounds:\n\n"
        "| load | policy | p50, ms | p95, ms | mean, ms |\n"
        "| --- | --- | --- | --- | --- |\n"
        + "".join(
            f"| {load} | no policy | 150.0 | 1500.0 | 285.0 |\n"
            f"| {load} | requests alone | 175.0 | 1750.0 | 332.5 |\n"
            f"| {load} | kernel functions, too | 210.0 | 2100.0 | 399.0 |\n"
            for load in ("closed loop, 1 connection", "open loop, 2 requests/s")
        )
        + "\nAgents under load, medians of the rounds:\n\n"
        "| agent | policy | memory, MiB | CPU seconds per 1,000 requests |\n"
        "| --- | --- | --- | --- |\n"
        "| one | no policy | 70 | 3.00 |\n"
        "| one | requests alone | 70 | 5.00 |\n"
        "| one | kernel functions, too | 70 | 8.00 |\n"
        "| other | no policy | 60 | 6.00 |\n"
        "| other | requests alone | 60 | 10.00 |\n"
        "| other | kernel functions, too | 60 | 16.00 |\n\n"
        "At rest, the policy in force, over 10 minutes:\n\n"
        "| agent | CPU seconds an hour |\n"
        "| --- | --- |\n"
        "| one | 6.0 |\n"
        "| other | 3.0 |\n\n"
        "| verb | resource | requests per agent and hour |\n"
        "| --- | --- | --- |\n"
        "| patch | nodetracings/status | 9.0 |\n"
        "| watch | pods | 12.0 |\n"
        "| all |  | 21.0 |\n\n"
        "Seconds that it took:\n\n"
        "| step | first | others |\n"
        "| --- | --- | --- |\n"
        "| helm install to Ready | 90.0 |  |\n"
        "| kubectl apply to Ready: requests alone | 40.0 | 22.0 (20.0 to 24.0) |\n\n"
        "Spans exported: 12,345. Lost: kernel_ring_full 2. Requests that failed: 0.\n"
    )
