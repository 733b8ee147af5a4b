"""An outline: what is known, as a tree of short lines. Drawn whole, or as the lines that differ from the outline before. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clew_cli.terminal import Tone, clean, columns, cut, fit, paint

_WIDEST_KEY = 40


@dataclass(frozen=True, slots=True)
class Item:
    """One line: what it is about, what is said of it, and the lines below it."""

    key: str
    text: str = ""
    tone: Tone = Tone.PLAIN
    under: tuple[Item, ...] = ()


def draw(items: Sequence[Item], colours: bool = False, width: int | None = None) -> list[str]:
    """The outline as lines, each with its place in the tree. ``width`` cuts lines that have more columns."""
    lines = []
    for item in items:
        lines.append(_line("", item, columns(clean(item.key)), colours, width))
        lines += _branches(item.under, "", colours, width)
    return lines


def changes(before: Sequence[Item], after: Sequence[Item]) -> list[str]:
    """The lines of ``after`` that ``before`` had not, each with the path to it; then what is not there any more."""
    old, new = list(_paths(before, ())), list(_paths(after, ()))
    known = {(path, item.text) for path, item in old}
    kept = {path for path, _ in new} | {()}
    lines = [f"{_path(path)}: {clean(item.text)}" for path, item in new if item.text and (path, item.text) not in known]
    gone = dict.fromkeys(path for path, _ in old if path not in kept and path[:-1] in kept)
    return lines + [f"{_path(path)}: not there any more" for path in gone]


def _branches(items: Sequence[Item], prefix: str, colours: bool, width: int | None) -> Iterator[str]:
    key_width = min(max((columns(clean(item.key)) for item in items), default=0), _WIDEST_KEY)
    for number, item in enumerate(items):
        last = number == len(items) - 1
        yield _line(prefix + ("└ " if last else "├ "), item, key_width, colours, width)
        yield from _branches(item.under, prefix + ("  " if last else "│ "), colours, width)


def _line(prefix: str, item: Item, key_width: int, colours: bool, width: int | None) -> str:
    key, text = clean(item.key), clean(item.text)
    start = prefix + (f"{key if columns(key) > key_width else fit(key, key_width)}  " if text else key)
    if width is not None:
        start = cut(start, width)
        text = cut(text, width - columns(start)) if columns(start) < width else ""
    return start + paint(text, item.tone, colours)


def _paths(items: Sequence[Item], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Item]]:
    for item in items:
        path = (*above, item.key)
        yield path, item
        yield from _paths(item.under, path)


def _path(path: tuple[str, ...]) -> str:
    return " / ".join(clean(key) for key in path)
