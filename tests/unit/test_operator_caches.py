"""What the operator knows stays right however watches, lists and its own writes overtake one another."""

from __future__ import annotations

from random import Random

from clew_operator.caches import Cache
from hypothesis import given
from hypothesis import strategies as st


def test_what_is_older_changes_nothing() -> None:
    cache: Cache[str] = Cache()
    assert cache.put("a", 5, "five")
    assert not cache.put("a", 4, "four")
    assert not cache.put("a", 5, "five")
    assert cache.put("a", 6, "six")
    assert cache.snapshot() == {"a": "six"}


def test_a_change_is_one_of_the_value() -> None:
    told: list[tuple[str | None, str | None]] = []
    cache: Cache[str] = Cache(lambda old, new: told.append((old, new)))
    assert cache.put("a", 1, "x")
    assert not cache.put("a", 2, "x")
    assert cache.put("a", 3, "y")
    assert cache.remove("a", 4)
    assert not cache.remove("a", 5)
    assert told == [(None, "x"), ("x", "y"), ("y", None)]


def test_a_deletion_holds_against_what_is_told_late() -> None:
    cache: Cache[str] = Cache()
    cache.put("a", 8, "old")
    cache.remove("a", 9)
    assert not cache.put("a", 8, "old")
    assert cache.put("a", 10, "made again")
    assert not cache.remove("a", 9)
    assert cache.snapshot() == {"a": "made again"}


def test_a_list_takes_out_what_is_gone_and_leaves_what_is_newer() -> None:
    cache: Cache[str] = Cache()
    cache.put("gone", 3, "x")
    cache.put("newer", 12, "x")
    assert cache.replace([("listed", 5, "x")], 10)
    assert cache.snapshot() == {"newer": "x", "listed": "x"}
    # What the list did not have as of 10 is no more, whatever comes late.
    assert not cache.put("gone", 9, "x")
    assert cache.put("gone", 11, "x")


def test_only_the_very_value_is_forgotten() -> None:
    cache: Cache[list[int]] = Cache()
    first, second = [1], [1]
    cache.put("a", 1, first)
    cache.put("a", 2, second)
    cache.forget("a", first)
    # Values that are equal are the same value: version 2 changed nothing that matters, but it is another object.
    assert cache.snapshot() == {"a": [1]}
    cache.forget("a", second)
    assert cache.snapshot() == {}


def test_a_watch_that_begins_anew_is_noticed() -> None:
    cache: Cache[str] = Cache()
    cache.replace([("a", 1, "x")], 2)
    cache.put("a", 1, "x", watched=True, listed=True)
    assert not cache.take_suspicion()
    cache.put("a", 3, "y", watched=True)
    assert not cache.take_suspicion()
    cache.put("a", 3, "y", watched=True, listed=True)
    assert cache.take_suspicion()
    assert not cache.take_suspicion()


@given(
    history=st.lists(st.sampled_from(["put", "delete"]), min_size=1, max_size=8),
    order=st.randoms(use_true_random=False),
    copies=st.integers(1, 2),
)
def test_any_order_of_arrival_ends_at_the_truth(history: list[str], order: Random, copies: int) -> None:
    """One object comes and goes; all of it arrives, shuffled and more than once, and so does a list at the end."""
    cache: Cache[int] = Cache()
    arrivals = [(version, what) for version, what in enumerate(history, 1)] * copies
    order.shuffle(arrivals)
    for version, what in arrivals:
        if what == "put":
            cache.put("a", version, version)
        else:
            cache.remove("a", version)
    last = {"a": len(history)} if history[-1] == "put" else {}
    assert cache.snapshot() == last
    cache.replace([(key, version, version) for key, version in last.items()], len(history))
    assert cache.snapshot() == last
