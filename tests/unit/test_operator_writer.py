"""What a batch of writes does when some of them fail. The API and the leader are fakes that fail as told."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from clew_crds.status import PolicyStatus
from clew_operator.changes import NodeChange, StatusChange
from clew_operator.client import Api, ApiError, Fault
from clew_operator.keys import KeyQueue
from clew_operator.kinds import Kind
from clew_operator.knowledge import Knowledge
from clew_operator.leader import DeposedError, Leader
from clew_operator.metrics import Metrics
from clew_operator.writer import AT_ONCE, Writer


class FakeApi:
    """Keeps what is applied, and fails for the names that are told."""

    def __init__(self) -> None:
        self.faults: dict[str, ApiError] = {}
        self.applied: list[tuple[Kind, str, bool]] = []
        self.timeouts: set[float] = set()
        self.most = self.now = 0
        self._lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()

    def apply(self, kind: Kind, body: Mapping[str, Any], *, status: bool = False, timeout: float = 5.0) -> dict[str, Any]:
        name = body["metadata"]["name"]
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.timeouts.add(timeout)
        self.gate.wait(5)
        with self._lock:
            self.now -= 1
            if name in self.faults:
                raise self.faults[name]
            self.applied.append((kind, name, status))
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "7", "generation": 1}}


class FakeLeader:
    """Leads for so many writes."""

    def __init__(self) -> None:
        self.writes = 1000

    def time_left(self) -> float:
        self.writes -= 1
        if self.writes < 0:
            raise DeposedError
        return 5.0


class Bench:
    def __init__(self) -> None:
        self.api, self.leader = FakeApi(), FakeLeader()
        queue = KeyQueue()
        self.knowledge, self.metrics = Knowledge(queue), Metrics(queue.age)
        self.writer = Writer(cast(Api, self.api), cast(Leader, self.leader), self.knowledge, self.metrics)

    def written(self, kind: str, result: str) -> float:
        _, text = self.metrics.exposition()
        row = f'clew_operator_writes_total{{kind="{kind}",result="{result}"}} '
        return next(float(line.removeprefix(row)) for line in text.decode().splitlines() if line.startswith(row))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.writer.close()


def nodes(count: int) -> list[NodeChange]:
    return [NodeChange(f"n{number}", f"u{number}", (), frozenset()) for number in range(count)]


def test_all_is_written_a_few_at_a_time_and_known_at_once(bench: Bench) -> None:
    outcome = bench.writer.write_tracings(nodes(50))
    assert (outcome.missed, outcome.wrote, outcome.retry_after) == (set(), True, 0.0)
    assert sorted(name for _, name, _ in bench.api.applied) == sorted(f"n{number}" for number in range(50))
    assert bench.api.most <= AT_ONCE
    assert bench.api.timeouts == {5.0}
    assert set(bench.knowledge.tracings.snapshot()) == {f"n{number}" for number in range(50)}
    assert bench.written("tracing", "done") == 50


@pytest.mark.parametrize("fault", [Fault.CONFLICT, Fault.REFUSED, Fault.MISSING])
def test_one_that_fails_leaves_the_others_alone(bench: Bench, fault: Fault) -> None:
    bench.api.faults["n3"] = ApiError(fault, "no")
    outcome = bench.writer.write_tracings(nodes(50))
    assert (outcome.missed, outcome.wrote) == ({"n3"}, True)
    assert (bench.written("tracing", "done"), bench.written("tracing", fault.value)) == (49, 1)


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.SERVER, Fault.UNREACHABLE])
def test_a_server_in_trouble_is_left_alone(bench: Bench, fault: Fault) -> None:
    bench.api.faults = {f"n{number}": ApiError(fault, "no", retry_after=3.0) for number in range(500)}
    outcome = bench.writer.write_tracings(nodes(500))
    assert len(outcome.missed) == 500
    assert (outcome.wrote, outcome.retry_after) == (False, 3.0)
    assert bench.written("tracing", fault.value) <= AT_ONCE


def test_a_leader_that_is_deposed_stops(bench: Bench) -> None:
    bench.leader.writes = 10
    outcome = bench.writer.write_tracings(nodes(50))
    assert len(bench.api.applied) == 10
    assert len(outcome.missed) == 40


def test_at_the_end_nothing_new_is_sent(bench: Bench) -> None:
    bench.writer.end()
    assert len(bench.writer.write_tracings(nodes(5)).missed) == 5
    assert bench.api.applied == []


def test_a_status_goes_to_the_subresource(bench: Bench) -> None:
    bench.api.faults["bank"] = ApiError(Fault.CONFLICT, "another uid")
    outcome = bench.writer.write_statuses([StatusChange(name, "u", PolicyStatus(), False) for name in ("bank", "shop")])
    assert outcome.missed == {"bank"}
    assert bench.api.applied == [(Kind.POLICY, "shop", True)]
