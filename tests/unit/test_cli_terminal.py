"""What a terminal is given: printable text of a known width, colours where they are welcome, and a view that is drawn over itself."""

import io

import pytest
from clew_cli.terminal import Screen, Tone, clean, columns, cut, fit, one_line, paint, wants_colours
from hypothesis import given
from hypothesis import strategies as st


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "wanted"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_when_there_are_colours(stream: io.StringIO, environment: dict[str, str], wanted: bool) -> None:
    assert wants_colours(stream, environment) is wanted


def test_paint() -> None:
    assert paint("x", Tone.BAD, True) == "\x1b[31mx\x1b[0m"
    assert [paint("x", Tone.BAD, False), paint("x", Tone.PLAIN, True), paint("", Tone.BAD, True)] == ["x", "x", ""]


def test_a_message_becomes_one_line() -> None:
    assert one_line("first\n  second\x1b[2J\u202eend\n") == "first second�[2J�end"


@pytest.mark.parametrize(("width", "fitted"), [(3, "宽…"), (4, "宽… "), (5, "宽宽…"), (6, "宽宽宽"), (8, "宽宽宽  ")])
def test_wide_characters(width: int, fitted: str) -> None:
    assert fit("宽宽宽", width) == fitted


@given(st.text(), st.integers(1, 30))
def test_every_text_fits(text: str, width: int) -> None:
    assert columns(fit(clean(text), width)) == width
    assert columns(cut(clean(text), width)) <= width


def test_a_view_is_drawn_over_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "4")
    stream = Terminal()
    screen = Screen(stream)
    assert screen.columns == 19
    screen.draw(["one", "two"])
    screen.draw(["three"])
    screen.draw(["1", "2", "3", "4", "5"])
    screen.draw(["last"])
    assert stream.getvalue().split("\r\x1b[J") == [
        "",
        "one\ntwo\n\x1b[2A",
        "three\n\x1b[1A",
        "1\n2\n… 3 more lines; a …\n\x1b[3A",
        "last\n",
    ]
