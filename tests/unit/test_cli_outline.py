"""Outlines: the tree, its columns and colours, and what is said of a change."""

from clew_cli.outline import Item, changes, draw
from clew_cli.terminal import Tone
from hypothesis import given
from hypothesis import strategies as st

SHOP = Item("shop", "Ready", Tone.GOOD, (Item("steps", under=(Item("1", "done"), Item("10", "waiting"))), Item("nodes", "3 desired")))


def test_the_tree() -> None:
    assert draw([SHOP, Item("other", "Paused")]) == [
        "shop  Ready",
        "├ steps",
        "│ ├ 1   done",
        "│ └ 10  waiting",
        "└ nodes  3 desired",
        "other  Paused",
    ]


def test_colours_are_of_the_text_alone() -> None:
    assert draw([SHOP], colours=True)[0] == "shop  \x1b[32mReady\x1b[0m"


def test_a_line_is_cut_to_the_width_before_it_is_painted() -> None:
    assert draw([SHOP], colours=True, width=9)[0] == "shop  \x1b[32mRe…\x1b[0m"
    assert draw([SHOP], width=5) == ["shop…", "├ st…", "│ ├ …", "│ └ …", "└ no…"]


def test_a_long_key_does_not_push_the_others_away() -> None:
    item = Item("all", under=(Item("n" * 60, "x"), Item("short", "y")))
    assert draw([item]) == ["all", "├ " + "n" * 60 + "  x", "└ short" + " " * 35 + "  y"]


def test_what_changed() -> None:
    after = Item(
        "shop", "Ready", Tone.GOOD, (Item("steps", under=(Item("1", "done"), Item("10", "done", Tone.GOOD))), Item("why", "x\x1b"))
    )
    assert changes([SHOP], [after]) == ["shop / steps / 10: done", "shop / why: x�", "shop / nodes: not there any more"]
    assert changes([SHOP], [SHOP]) == []


def test_of_a_branch_that_is_gone_only_its_root_is_told() -> None:
    assert changes([SHOP], []) == ["shop: not there any more"]


@given(st.recursive(st.just(()), lambda under: st.lists(st.builds(Item, st.text(), st.text(), under=under), max_size=3).map(tuple)))
def test_an_outline_does_not_differ_from_itself(items: tuple[Item, ...]) -> None:
    assert changes(items, items) == []
    assert len(draw(items)) == len(draw(items, width=7))
