"""The arithmetic of the benchmark, and the texts it reads and writes."""

from __future__ import annotations

import json

import pytest

from bench.figures import Measurement, Ratio, ratio, summarise
from bench.procfs import parse_busy_ns, parse_task_ns
from bench.report import AgentCost, Row, losses, render, to_json
from bench.workloads import WORKLOADS, runtimes


def test_ratio_is_taken_within_rounds() -> None:
    assert ratio([(100, 90), (10, 10), (200, 160)]) == Ratio(0.9, 0.8, 1.0)


@pytest.mark.parametrize(("pairs", "message"), [([], "no rounds"), ([(0.0, 1.0)], "is 0")])
def test_ratios_that_do_not_exist(pairs: list[tuple[float, float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ratio(pairs)


PLAIN = Measurement([10_000_000] * 99 + [30_000_000], 2.0, 0.5, 0)
TRACED = Measurement([11_000_000] * 98 + [33_000_000] * 2, 2.5, 0.6, 0)


def test_figures_of_a_measurement() -> None:
    assert (PLAIN.throughput, PLAIN.p50_ms, PLAIN.p99_ms, PLAIN.cpu_ms) == (50.0, 10.0, 10.0, 5.0)
    assert (TRACED.throughput, TRACED.p50_ms, TRACED.p99_ms, TRACED.cpu_ms) == (40.0, 11.0, 33.0, 6.0)


def test_a_summary_has_medians_and_the_ratio() -> None:
    summary = summarise([(PLAIN, TRACED)] * 2, lambda run: run.throughput)
    assert (summary.without, summary.with_agent, summary.ratio) == (50.0, 40.0, Ratio(0.8, 0.8, 0.8))


def test_the_report() -> None:
    rows = [Row("c=1", [(PLAIN, TRACED)]), Row("Go", missing="no Go here")]
    cost = AgentCost(20.0, 70 * 1024, 75 * 1024, 0.05, 100, {"kernel_ring_full": 2.0})
    assert render(rows, [cost]) == (
        "With the agent over without it:\n\n"
        "| load | throughput | p50 | p99 | CPU of the whole guest per request |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| c=1 | 0.80 (0.80 to 0.80) | 1.10 (1.10 to 1.10) | 3.30 (3.30 to 3.30) | 1.20 (1.20 to 1.20) |\n\n"
        "Without → with:\n\n"
        "| load | throughput, requests/s | p50, ms | p99, ms | CPU of the whole guest per request, ms |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| c=1 | 50 → 40 | 10 → 11 | 10 → 33 | 5 → 6 |\n\n"
        "Not run: Go: no Go here\n\n"
        "Agent, median of 1 starts: ready after 20.0 s, main process 70 MiB, all its processes 75 MiB resident, "
        "0.50 CPU seconds per 1,000 requests.\n\n"
        "Lost: kernel_ring_full 2.\n"
    )


def test_a_control_says_that_it_is_one() -> None:
    report = render([Row("c=1", [(PLAIN, PLAIN)])], [], control=True)
    assert report.startswith("Control, no agent in either half; second over first:\n")
    assert "First → second:\n" in report
    assert "1.00 (1.00 to 1.00)" in report


def test_the_report_for_machines() -> None:
    document = to_json([Row("c=1", [(PLAIN, TRACED)]), Row("Go", missing="no Go here")], [])
    assert json.loads(json.dumps(document)) == document
    row, missing = document["workloads"]
    assert row["requests"] == [[100, 100]]
    assert row["figures"]["p50, ms"] == {"without": 10.0, "with": 11.0, "ratio": 1.1, "ratio_low": 1.1, "ratio_high": 1.1}
    assert (missing["missing"], missing["figures"]) == ("no Go here", {})


def test_losses_of_the_agents_metrics() -> None:
    text = (
        "# HELP clew_kernel_ring_full_total records lost: the ring buffer was full\n"
        'clew_kernel_ring_full_total{cpu="0"} 3.0\n'
        'clew_kernel_ring_full_total{cpu="1"} 1.0\n'
        "clew_kernel_rate_limited_total 2.0\n"
        "clew_export_spans_dropped_queue_full_total 0.0\n"
        "clew_export_queue_length 7.0\n"
        "clew_spans_total 99.0\n"
    )
    assert losses(text) == {"kernel_ring_full": 4.0, "kernel_rate_limited": 2.0}


@pytest.mark.parametrize("name", ["context_full", "not_injected_space", "function_limit", "function_depth", "send_cut", "framing_lost"])
def test_kernel_counters_that_are_losses(name: str) -> None:
    assert losses(f"clew_kernel_{name}_total 1.0\n") == {f"kernel_{name}": 1.0}


@pytest.mark.parametrize("name", ["connections", "injected", "adopted", "pools", "fionread_corrected"])
def test_kernel_counters_that_are_none(name: str) -> None:
    assert losses(f"clew_kernel_{name}_total 1.0\n") == {}


def test_busy_time_is_that_of_all_processors() -> None:
    text = "version 15\ntimestamp 4294\ncpu0 0 0 0 0 0 0 700 80 9\ndomain0 3 1 2 3 4 5 6 7 8\ncpu1 1 2 3 4 5 6 11 8 9\n"
    assert parse_busy_ns(text) == 711


def test_a_threads_time() -> None:
    assert parse_task_ns("43356 120 7\n") == 43356


def test_every_workload_has_a_runtime(tmp_path_factory: pytest.TempPathFactory) -> None:
    known = runtimes(tmp_path_factory.mktemp("checkout"))
    assert {workload.runtime for workload in WORKLOADS} == known.keys()
    assert known["python"].missing == ""
    assert known["go"].missing == "no Go toolchain on the host to build bench/service.go with"
