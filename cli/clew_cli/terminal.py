"""What a terminal is given: printable text, cut to its columns, in colours only where they are welcome, drawn over itself if live.

Names and messages come from applications, kernels and clusters and may hold anything, so what a terminal would obey (escape sequences,
line breaks, changes of writing direction) is replaced before it is printed.
"""

from __future__ import annotations

import enum
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TextIO

_UP, _CLEAR_BELOW, _RESET = "\x1b[{}A", "\r\x1b[J", "\x1b[0m"


class Tone(enum.StrEnum):
    """What a text means to the reader, as the terminal's colour for it."""

    PLAIN = ""
    GOOD = "\x1b[32m"
    BUSY = "\x1b[36m"
    WARNING = "\x1b[33m"
    BAD = "\x1b[31m"


def clean(text: str) -> str:
    """``text`` with everything that is not printable, and every change of writing direction, replaced by a visible mark."""
    return "".join(one if one.isprintable() else "�" for one in text)


def one_line(text: str) -> str:
    """A message that may have several lines as one, and clean."""
    return clean(" ".join(text.split()))


def columns(text: str) -> int:
    """Columns that ``text`` takes in a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns, with an ellipsis where it is longer."""
    used = columns(text)
    if used <= width:
        return text
    kept = used = 0
    for one in text:
        used += columns(one)
        if used > width - 1:
            break
        kept += 1
    return text[:kept] + "…"


def fit(text: str, width: int) -> str:
    """``text`` in exactly ``width`` columns."""
    text = cut(text, width)
    return text + " " * (width - columns(text))


def paint(text: str, tone: Tone, colours: bool) -> str:
    """``text`` in the colour of its tone, where colours are wanted."""
    return f"{tone.value}{text}{_RESET}" if colours and text and tone is not Tone.PLAIN else text


def wants_colours(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether to write colours: only to a terminal, and not where ``NO_COLOR`` is set or the terminal is called dumb."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


class Screen:
    """The part of a terminal that a live view is drawn on, again and again, over itself. What stood above it stays."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = 0

    @property
    def columns(self) -> int:
        """Columns that a line may have: a longer one would wrap, and be left over by the next drawing."""
        return shutil.get_terminal_size().columns - 1

    def draw(self, lines: Sequence[str]) -> None:
        """Show ``lines`` in place of those shown before; what the window has no rows for is only counted."""
        rows = max(shutil.get_terminal_size().lines - 1, 2)
        if len(lines) > rows:
            lines = [*lines[: rows - 1], cut(f"… {len(lines) - rows + 1} more lines; a larger window shows them", self.columns)]
        up = _UP.format(self._drawn) if self._drawn else ""
        self._stream.write(up + _CLEAR_BELOW + "".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._drawn = len(lines)
