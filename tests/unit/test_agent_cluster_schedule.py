"""When the status is written."""

from clew_agent.cluster.schedule import FIGURES, JITTER, SETTLE, Schedule, failed, written
from hypothesis import given
from hypothesis import strategies as st

CHANCE = st.floats(0, 1)


def test_a_change_is_written_soon() -> None:
    assert written(100, 0.5) == Schedule(100 + FIGURES)
    assert written(100, 0.5).changed(200, 0) == Schedule(200 + SETTLE)
    assert written(100, 0.5).changed(200, 1) == Schedule(200 + SETTLE + JITTER)


def test_what_follows_a_change_goes_with_it() -> None:
    assert written(0, 0.5).changed(10, 0.5).changed(10.2, 1) == written(0, 0.5).changed(10, 0.5)


def test_a_write_that_failed_is_tried_again_after_its_pause() -> None:
    assert failed(50, 8) == Schedule(58)


def test_news_do_not_wait_for_a_long_pause() -> None:
    assert failed(50, 60).changed(55, 0) == Schedule(55.5)


@given(st.lists(st.tuples(st.floats(0, 3600), CHANCE), min_size=1, max_size=200))
def test_writes_are_few_however_many_changes_there_are(changes: list[tuple[float, float]]) -> None:
    """Never two within the settling time, and never later than both together after the first change."""
    changes.sort()
    schedule, waiting, writes = written(0, 0.5), None, [0.0]
    for now, chance in [*changes, (7200.0, 0.5)]:
        while schedule.due <= now:
            if waiting is not None:
                assert schedule.due - waiting <= SETTLE + JITTER
                assert schedule.due - writes[-1] >= SETTLE
            writes.append(schedule.due)
            schedule, waiting = written(schedule.due, chance), None
        schedule, waiting = schedule.changed(now, chance), now if waiting is None else waiting
    assert len(writes) <= 2 + len(changes) + 7200 / (FIGURES / 2)
