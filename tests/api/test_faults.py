"""What may happen to an operator in the middle of a rollout: the end is right each time, and the way there keeps to its bounds.

The way is checked from the API server's audit log: never more than ``maxUnavailable`` nodes changing.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clew_crds.policy import PolicySpec
from clew_crds.revision import enforced, revision_name
from clew_lab.agents import Agents, Behaviour, running_agents
from clew_lab.cluster import Cluster
from clew_operator.writer import AT_ONCE

from tests.api.audit import Write, most_changing, per_object, twice, writes
from tests.api.operators import REVISIONS, TRACINGS, Document, Rig, conditions, is_true, rig, rolled_back
from tests.api.proxy import Refusal, proxied

NODES = 20
MOST = 4
STEPS = [{"nodes": "1"}, {"nodes": "50%"}, {"nodes": "100%"}]
KEPT = 7  # revisions: the newest, the stable one, and five that nobody has
THINKING = Behaviour(delay=0.05)


class Course:
    """One policy, edited again and again: each edit is a rollout over all nodes."""

    def __init__(self, running: Rig, agents: Agents) -> None:
        self.rig, self.agents, self.size, self._mark = running, agents, 0, 0

    @property
    def newest(self) -> str:
        return self._revision(self.size)

    @property
    def next(self) -> str:
        return self._revision(self.size + 1)

    def edit(self, **rollout: Any) -> None:
        """Edit what is enforced; the way is checked from here."""
        self._mark = self.rig.cluster.audit_log.stat().st_size
        self.size += 1
        self.apply(**rollout)

    def apply(self, **rollout: Any) -> None:
        """Apply the policy with other rules for its rollout."""
        self.rig.apply("course", {"limits": {"spansPerRequest": self.size}}, **{"maxUnavailable": str(MOST), "steps": STEPS, **rollout})

    def written(self) -> list[Write]:
        """What was written since the last edit."""
        return writes(self.rig.cluster.audit_log, self._mark)

    def until_operators_wrote(self, times: int) -> None:
        """Wait until operators have written so often since the last edit. The log is a file: there is no event to wait for."""
        deadline = time.monotonic() + 60
        while sum(one.manager == "clew-operator" for one in self.written()) < times:
            assert time.monotonic() < deadline, f"no {times} writes within a minute"
            time.sleep(0.01)

    def until_seen(self) -> Document:
        """The status as soon as it is of what was applied last."""
        generation = self.rig.policy("course")["metadata"]["generation"]
        return self.rig.until("course", lambda one: one["observedGeneration"] == generation)

    def finish(self, note: str = "") -> None:
        """Wait for the end, and check it and the way there."""
        generation = self.rig.policy("course")["metadata"]["generation"]
        status = self.rig.until("course", lambda one: is_true(one, "Ready") and one["observedGeneration"] == generation)
        assert conditions(status) == {
            "Ready": ("True", "RolledOut", f"{NODES} of {NODES} nodes ready"),
            "Reconciling": ("False", "RolledOut", ""),
            "Stalled": ("False", "RolledOut", ""),
        }, note
        assert (status["revision"], status["stableRevision"], status["step"]) == (self.newest, self.newest, "3/3"), note
        assert status["nodes"] == {"desired": NODES, "updated": NODES, "ready": NODES, "failed": 0, "unsupported": 0, "silent": 0}, note
        assert self.rig.told("course") == {f"node-{number}": self.newest for number in range(NODES)}, note
        assert len(self.rig.list(REVISIONS)) <= KEPT, note
        self.check_the_way(note)

    def check_the_way(self, note: str = "") -> None:
        assert most_changing(writes(self.rig.cluster.audit_log), "course") <= MOST, note

    def check_that_nothing_was_written_twice(self, note: str = "") -> None:
        """Since the last edit: two leaders at one time each tell of what they do."""
        assert twice(self.written()) == [], note
        told = per_object(self.written(), "nodetracings", "clew-operator")
        assert [node for node, times in told.items() if times > 1] == [], note
        listed = self.rig.cluster.kubectl("get", "events.events.k8s.io", "-n", "default", "-o", "json").stdout
        events = [(one["reason"], one["note"]) for one in json.loads(listed)["items"] if self.newest in one["note"]]
        assert len(events) == len(set(events)), note

    def reported(self) -> dict[str, list[tuple[str, str]]]:
        """What each node's agent says: revisions and states."""
        return {
            one["metadata"]["name"]: [(report["revision"], report["state"]) for report in one["status"]["policies"]]
            for one in self.rig.list(TRACINGS)
        }

    def _revision(self, size: int) -> str:
        spec = PolicySpec.model_validate({"namespaces": ["default"], "limits": {"spansPerRequest": size}})
        return revision_name("course", enforced(spec))


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[Rig]:
    with rig(cluster) as made:
        cluster.add_nodes(NODES)
        yield made


@pytest.fixture(scope="module")
def agents(running: Rig) -> Iterator[Agents]:
    with running_agents(running.cluster.kubeconfig, [THINKING]) as made:
        yield made


@pytest.fixture(scope="module")
def the_course(running: Rig, agents: Agents) -> Course:
    """The first rollout is over when a test begins: there is a stable revision."""
    made = Course(running, agents)
    operator = running.start_operator()
    made.edit()
    made.finish()
    assert operator.stop() == 0
    return made


@pytest.fixture
def course(running: Rig, the_course: Course) -> Iterator[Course]:
    """Each test starts its own replicas, which end with it in order."""
    the_course.agents.behave([THINKING])
    yield the_course
    for one in running.operators:
        if one.process.poll() is None:
            one.stop()


def test_killed_at_20_random_moments(running: Rig, course: Course) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(2):
        running.start_operator()
    leader = running.leader()
    for number in range(20):
        moment, later = chance.randint(1, NODES), chance.uniform(0.0, 0.05)
        note = f"seed {seed}, kill {number + 1}: {later:.3f} s after write {moment}"
        course.edit()
        course.until_operators_wrote(moment)
        time.sleep(later)  # between two writes, or in the middle of one
        leader.kill()
        assert not is_true(running.policy("course")["status"], "Ready"), note
        running.start_operator()
        leader = running.leader(other_than=leader)
        course.finish(note)
        course.check_that_nothing_was_written_twice(note)


def test_a_leader_that_ends_in_order_hands_over_at_once(running: Rig, course: Course) -> None:
    running.start_operator()
    first = running.leader()
    second = running.start_operator()
    course.edit()
    course.until_operators_wrote(5)
    assert first.stop() == 0
    assert running.leader(other_than=first) is second
    course.finish()
    course.check_that_nothing_was_written_twice()


def test_a_leader_that_hangs_is_deposed_and_writes_nothing_when_it_comes_back(running: Rig, course: Course) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(2):
        running.start_operator()
    for number in range(3):
        leader, moment = running.leader(), chance.randint(1, NODES)
        note = f"seed {seed}, hang {number + 1}: after write {moment}"
        course.edit()
        course.until_operators_wrote(moment)
        leader.process.send_signal(signal.SIGSTOP)
        running.leader(other_than=leader)
        leader.process.send_signal(signal.SIGCONT)
        course.finish(note)
        course.check_that_nothing_was_written_twice(note)


def test_a_leader_without_network_is_replaced_and_comes_back_as_second(running: Rig, course: Course) -> None:
    with proxied(running.cluster, "isolated") as (proxy, kubeconfig):
        isolated = running.start_operator(kubeconfig=kubeconfig)
        assert running.leader() is isolated
        second = running.start_operator()
        course.edit()
        course.until_operators_wrote(5)
        proxy.isolate()
        assert running.leader(other_than=isolated) is second
        course.edit()
        proxy.heal()
        course.finish()
        assert twice(course.written()) == []
        assert isolated.stop() == 0


def test_two_leaders_at_one_time(running: Rig, course: Course) -> None:
    """Each holds a lease of its own, so that both write all the time: what no lease keeps apart, the order of nodes does."""
    running.cluster.kubectl("create", "namespace", "elsewhere")
    both = [running.start_operator(), running.start_operator("--namespace=elsewhere")]
    for one in both:
        one.until_it_leads()
    for _ in range(10):
        course.edit()
        course.finish()


def test_watches_that_are_closed_are_opened_again(running: Rig, course: Course) -> None:
    with proxied(running.cluster, "cut") as (proxy, kubeconfig):
        operator = running.start_operator(kubeconfig=kubeconfig)
        running.leader()
        course.edit()
        for moment in (3, 9, 15, 21):
            course.until_operators_wrote(moment)
            assert proxy.cut() >= 6  # watches, one for each kind, and whatever else was under way
        course.finish()
        assert operator.stop() == 0


def test_the_api_server_is_restarted(running: Rig, course: Course) -> None:
    operator = running.start_operator()
    running.leader()
    course.edit()
    course.until_operators_wrote(8)
    running.cluster.restart_apiserver()
    course.finish()
    assert operator.process.poll() is None


@pytest.mark.parametrize("refusal", [Refusal(409, "Conflict"), Refusal(429, "TooManyRequests", retry_after=1)], ids=["409", "429"])
def test_writes_that_are_refused_are_made_later(running: Rig, course: Course, refusal: Refusal) -> None:
    seen: dict[str, list[float]] = {"refused": [], "passed": []}

    def every_third(method: str, path: str) -> Refusal | None:
        if "clew.dev" not in path:
            return None
        refused = (len(seen["refused"]) + len(seen["passed"])) % 3 == 2
        seen["refused" if refused else "passed"].append(time.monotonic())
        return refusal if refused else None

    with proxied(running.cluster, f"refusing-{refusal.code}") as (proxy, kubeconfig):
        operator = running.start_operator(kubeconfig=kubeconfig)
        running.leader()
        proxy.judge(every_third)
        course.edit()
        course.finish()
        course.check_that_nothing_was_written_twice()
        assert len(seen["refused"]) >= NODES // 3
        assert operator.stop() == 0
    # What was under way with a refused write may still come; then it is quiet for as long as was asked.
    for moment in seen["refused"]:
        following = [one for one in seen["passed"] if moment < one < moment + refusal.retry_after]
        assert len(following) < AT_ONCE


def test_silence_of_a_tenth_of_the_agents_is_not_health(running: Rig, course: Course) -> None:
    running.start_operator()
    before, failing = course.newest, course.next
    silent = ["node-3", "node-13"]
    course.agents.behave([*(Behaviour(node=node, revision=failing, state=None) for node in silent), THINKING])
    course.edit(steps=[{"nodes": "100%"}], progressDeadline="10s")
    running.until("course", lambda one: one.get("revision") == failing and one["nodes"]["ready"] == NODES - len(silent))
    status = running.until("course", lambda one: is_true(one, "Stalled") and rolled_back(one))
    why = f"rolled back to {before}; edit the policy, or run `kubectl clew retry course`"
    assert status["message"].endswith(why)
    assert conditions(status) == {
        "Ready": ("False", "ProgressDeadlineExceeded", status["message"]),
        "Reconciling": ("False", "ProgressDeadlineExceeded", ""),
        "Stalled": ("True", "ProgressDeadlineExceeded", status["message"]),
    }
    assert (status["revision"], status["stableRevision"], status["rollout"]["failedRevision"]) == (failing, before, failing)
    assert [(one["node"], one["reason"]) for one in status["failures"]] == [(node, "ProgressDeadlineExceeded") for node in silent]
    assert course.reported() == {f"node-{number}": [(before, "Ready")] for number in range(NODES)}
    course.check_the_way()
    course.agents.behave([THINKING])
    course.edit()
    course.finish()


def test_a_clock_that_jumps_ends_no_soak_and_no_deadline(running: Rig, course: Course, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0")
    operator = running.start_operator(program=("tests.api.set_clock", str(clock)))
    soaking = [{"nodes": "1", "soak": "1h"}, {"nodes": "50%"}, {"nodes": "100%"}]
    course.edit(steps=soaking)
    began = running.until("course", lambda one: one["revision"] == course.newest and "soakStartedTime" in one["rollout"])["rollout"]
    for hours in (2, -2):
        clock.write_text(str(hours * 3600))
        # A look of after the jump: it writes that it has seen the edit.
        course.apply(steps=soaking, progressDeadline=f"{10 + hours}m")
        status = course.until_seen()
        assert (status["step"], status["nodes"]["updated"], status["rollout"]["soakStartedTime"]) == ("1/3", 1, began["soakStartedTime"])
    # Set back, and then started: times that are still to come count as now, so the soak only begins anew.
    assert operator.stop() == 0
    operator = running.start_operator(program=("tests.api.set_clock", str(clock)))
    operator.until_it_leads()
    course.apply(steps=soaking)
    status = course.until_seen()
    assert (status["step"], status["nodes"]["updated"]) == ("1/3", 1)
    # Set forward, and then started: that can end a soak, but a step without answers is never passed by it.
    assert operator.stop() == 0
    course.agents.behave([Behaviour(revision=course.newest, state=None)])
    clock.write_text("7200")
    operator = running.start_operator(program=("tests.api.set_clock", str(clock)))
    status = running.until("course", lambda one: one["step"] == "2/3" and one["nodes"]["silent"] == MOST)
    assert (status["nodes"]["updated"], status["nodes"]["ready"]) == (1 + MOST, 1)
    course.agents.behave([THINKING])
    course.finish()
    assert operator.stop() == 0
