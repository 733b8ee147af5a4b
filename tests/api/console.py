"""Pages of docs whose console blocks are run: what stands in them, and how what was printed is put in or compared. Pure.

A block ``console`` has commands, each a line that begins with ``$ ``, with what it printed below it. A block ``yaml`` that begins with a
comment such as ``# bookinfo.yaml`` is the file of that name, which the commands after it read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_PROMPT = "$ "
_HEADING = re.compile(r"^## (.*)\n", re.MULTILINE)
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^```yaml\n# (\S+\.yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page, from one heading to the next, that has commands."""

    title: str
    files: Mapping[str, str]
    commands: tuple[str, ...]


def sections(page: str) -> tuple[Section, ...]:
    """The sections of a page that have commands; what stands before the first heading has no title."""
    parts = _HEADING.split(page)
    titled = zip(["", *parts[1::2]], parts[::2], strict=True)
    found = [Section(title, dict(_FILE.findall(text)), tuple(_commands(text))) for title, text in titled]
    return tuple(one for one in found if one.commands)


def _commands(text: str) -> Iterator[str]:
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith(_PROMPT):
                yield line.removeprefix(_PROMPT)


def shown(page: str) -> list[tuple[str, str]]:
    """Each command of a page, and what it printed."""
    found: list[tuple[str, str]] = []
    for block in _BLOCK.findall(page):
        for line in block.splitlines(keepends=True):
            if line.startswith(_PROMPT):
                found.append((line.removeprefix(_PROMPT).rstrip("\n"), ""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def filled(page: str, outputs: Iterable[str]) -> str:
    """The page with what its commands have printed now, in their order."""
    left = iter(outputs)

    def fill(block: re.Match[str]) -> str:
        lines = [f"{_PROMPT}{command}\n{_ended(next(left))}" for command in _commands(block[0])]
        return f"```console\n{''.join(lines)}```"

    return _BLOCK.sub(fill, page)


def _ended(text: str) -> str:
    lines = [line.rstrip() for line in text.rstrip().splitlines()]
    return "".join(f"{line}\n" for line in lines)


_COLUMNS = re.compile(r"(?<=\S) {2,}")
_AGE = re.compile(r"(?<!:  )(?<=  )(\d+[dhms])+(?=  |$)", re.MULTILINE)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}")
_NUMBER = re.compile(r"(?<=Resource Version:  )\d+")
_NAMED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=[a-z0-9]-)[0-9a-f]{10}\b")


def masked(text: str) -> str:
    """The text without what differs from run to run: ages, moments, versions, and the columns' widths, which depend on them.

    Uids and the hashes in revisions' names become numbers in the order in which they appear: what is the same stays the same.
    """
    names: dict[str, str] = {}
    text = _COLUMNS.sub("  ", _MOMENT.sub("<time>", text))
    text = _NUMBER.sub("<number>", _AGE.sub("<age>", text))
    return _NAMED.sub(lambda found: names.setdefault(found[0], f"<{len(names)}>"), text)
