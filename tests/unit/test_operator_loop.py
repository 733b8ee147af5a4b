"""How long the loop waits after looks that could not write everything."""

from clew_operator.look import Verdict
from clew_operator.loop import BackOff

NOTHING = Verdict(complete=False)
SOME = Verdict(complete=False, wrote=True)


def test_the_wait_doubles_while_nothing_is_written() -> None:
    back_off = BackOff()
    assert [back_off.after(NOTHING) for _ in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_the_wait_is_short_where_something_is_written() -> None:
    back_off = BackOff()
    waits = [back_off.after(verdict) for verdict in (NOTHING, NOTHING, NOTHING, SOME, SOME, NOTHING, NOTHING)]
    assert waits == [0.25, 0.5, 1, 0.25, 0.25, 0.5, 1]


def test_a_complete_look_ends_it() -> None:
    back_off = BackOff()
    assert [back_off.after(verdict) for verdict in (NOTHING, NOTHING, Verdict(complete=True), NOTHING)] == [0.25, 0.5, 0, 0.25]
