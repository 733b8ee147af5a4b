"""Who may write, and for how long: rules without a clock, and a simulation in which replicas do their worst."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
from clew_operator.leader import DeposedError, Election, Record, read_lease
from hypothesis import given, settings
from hypothesis import strategies as st

DURATION = 15


def record(holder: str, renewed: str = "t0", seconds: int = DURATION) -> Record:
    return Record(holder, seconds, "t0", renewed, 0, "1")


def test_a_free_lease_is_taken_and_held_for_two_thirds() -> None:
    election = Election("me", DURATION)
    election.saw(None, 100.0)
    assert election.may_take(100.0)
    assert not election.leads(100.0)
    with pytest.raises(DeposedError):
        election.time_left(100.0)
    election.took(record("me"), 100.0)
    assert (election.term, election.leads(109.9), election.leads(110.0)) == (1, True, False)
    # A write that begins at the last moment is over when others may take the lease.
    assert 109.9 + election.time_left(109.9) <= 100.0 + DURATION


def test_another_ones_lease_is_waited_for_by_ones_own_clock() -> None:
    election = Election("me", DURATION)
    election.saw(record("other"), 50.0)
    assert not election.may_take(64.9)
    election.saw(record("other", "t1"), 60.0)
    assert not election.may_take(74.9)
    election.saw(record("other", "t1"), 74.0)
    assert election.may_take(75.0)


def test_the_longer_duration_counts_when_replicas_differ() -> None:
    election = Election("me", DURATION)
    election.saw(record("other", seconds=60), 0.0)
    assert not election.may_take(59.0)
    election.saw(record("other", "t1", seconds=1), 60.0)
    assert not election.may_take(74.0)


def test_a_lease_that_was_given_back_is_free() -> None:
    election = Election("me", DURATION)
    election.saw(record(""), 0.0)
    assert election.may_take(0.0)


def test_a_lapse_begins_another_term() -> None:
    election = Election("me", DURATION)
    election.took(record("me"), 0.0)
    election.took(record("me", "t1"), 9.0)
    assert election.term == 1
    election.took(record("me", "t2"), 19.5)
    assert election.term == 2


def test_seeing_another_holder_ends_the_term_at_once() -> None:
    election = Election("me", DURATION)
    election.took(record("me"), 0.0)
    election.saw(record("other", "t1"), 1.0)
    assert not election.leads(1.0)


def test_a_lease_object_as_the_api_server_sends_it() -> None:
    spec = {"holderIdentity": "me", "leaseDurationSeconds": 15, "acquireTime": "a", "renewTime": "r", "leaseTransitions": 2}
    assert read_lease({"metadata": {"resourceVersion": "7"}, "spec": spec}) == Record("me", 15, "a", "r", 2, "7")
    assert read_lease({"metadata": {"resourceVersion": "7"}, "spec": {}}) == Record("", 0, "", "", 0, "7")


@dataclass
class Server:
    """A simulated API server: one lease, replaced only by who has seen its last version."""

    lease: Record | None = None
    version: int = 0

    def write(self, election: Election, now: float) -> Record | None:
        seen = election.record
        if (seen.version if seen else None) != (self.lease.version if self.lease else None):
            return None
        self.version += 1
        self.lease = Record(election.identity, election.seconds, "", f"{now}", 0, f"{self.version}")
        return self.lease


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_never_do_two_replicas_write_at_one_time(seed: int) -> None:
    """Three replicas that read, hesitate, write, hang and come back; while one may have a write under way, no other begins one."""
    chance = random.Random(seed)
    server, now = Server(), 0.0
    replicas = [Election(name, DURATION) for name in "abc"]
    hangs_until = dict.fromkeys("abc", 0.0)
    asked: dict[str, float] = {}
    writing: tuple[str, float] | None = None
    terms = 0
    for _ in range(400):
        now += chance.choice([0.1, 0.5, 1.0, 2.0, 5.0])
        election = chance.choice(replicas)
        name = election.identity
        if now < hangs_until[name]:
            continue
        if chance.random() < 0.05:
            hangs_until[name] = now + chance.choice([3.0, 10.0, 20.0, 60.0])
        elif name in asked:  # the second half of a try: the lease was read some time ago
            if election.may_take(now) and (written := server.write(election, now)) is not None and chance.random() < 0.9:
                before = election.term
                election.took(written, asked[name])
                terms += election.term - before
            del asked[name]
        elif chance.random() < 0.5:
            asked[name] = now
            election.saw(replace(server.lease) if server.lease else None, now)
        elif election.leads(now):
            assert writing is None or writing[0] == name or now >= writing[1], f"{name} and {writing} at {now}"
            over = now + election.time_left(now)
            writing = (name, max(over, writing[1]) if writing and writing[0] == name else over)
    assert terms > 0 or server.lease is None or server.version < 40
