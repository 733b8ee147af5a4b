"""The queue: keys once, in time, and how long the oldest has waited."""

from __future__ import annotations

import threading
import time

from clew_operator.keys import KeyQueue

NEVER = 1e9


def test_a_key_is_taken_once_however_often_it_was_put() -> None:
    queue = KeyQueue()
    for key in (("Node", "n1"), ("Node", "n1"), ("Pod", "a/b")):
        queue.put(key)
    assert queue.take(not_before=0.0, not_after=NEVER) == {("Node", "n1"), ("Pod", "a/b")}
    assert queue.take(not_before=0.0, not_after=0.0) == frozenset()


def test_keys_wait_for_their_time() -> None:
    queue, began = KeyQueue(), time.monotonic()
    queue.put(("Node", "n1"))
    assert queue.take(not_before=began + 0.05, not_after=NEVER) == {("Node", "n1")}
    assert time.monotonic() - began >= 0.05


def test_without_keys_time_alone_wakes() -> None:
    began = time.monotonic()
    assert KeyQueue().take(not_before=0.0, not_after=began + 0.05) == frozenset()
    assert time.monotonic() - began >= 0.05


def test_whoever_waits_is_woken_by_a_key_and_by_the_end() -> None:
    queue = KeyQueue()
    taken: list[frozenset[tuple[str, str]]] = []
    waiter = threading.Thread(target=lambda: taken.append(queue.take(not_before=0.0, not_after=NEVER)))
    waiter.start()
    queue.put(("Node", "n1"))
    waiter.join(5)
    assert taken == [{("Node", "n1")}]
    waiter = threading.Thread(target=lambda: taken.append(queue.take(not_before=NEVER, not_after=NEVER)))
    waiter.start()
    queue.close()
    waiter.join(5)
    assert (taken[1:], queue.closed) == ([frozenset()], True)


def test_the_age_is_that_of_the_oldest_key() -> None:
    queue = KeyQueue()
    assert queue.age() == 0.0
    began = time.monotonic()
    queue.put(("Node", "n1"))
    queue.put(("Node", "n1"))
    assert 0.0 <= queue.age() <= time.monotonic() - began
    queue.take(not_before=0.0, not_after=NEVER)
    assert queue.age() == 0.0
