"""The command lines of Clew's programs: their parsers, and the reference of all options, made from these."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

__all__ = ["MAINS", "parse", "reference"]

MAINS = {
    "clew": "clew_cli.main",
    "clew-agent": "clew_agent.main",
    "clew-operator": "clew_operator.main",
    "clew-lab": "clew_lab.main",
    "bench": "bench.__main__",
    "bench.cluster": "bench.cluster",
    "bench.rollout": "bench.rollout",
}
"""The module whose ``main`` is the program."""


class _Understood(BaseException):
    """A command line was understood, and nothing else was done. ``parser`` is the program's."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def parse(program: str, arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Have a program understand a command line, and end there; its parser.

    Raises ``SystemExit`` as the program does: with status 2 for what it does not understand, 0 for what only asks for help.
    """
    understand: Callable[..., Any] = argparse.ArgumentParser.parse_args

    def understand_and_end(parser: argparse.ArgumentParser, *others: Any) -> None:
        understand(parser, *others)
        raise _Understood(parser)

    main = importlib.import_module(MAINS[program]).main
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", understand_and_end)
        try:
            main(arguments)
        except _Understood as ended:
            return ended.parser
    raise AssertionError(f"{program} has not parsed {arguments}")


def reference(parser: argparse.ArgumentParser) -> str:
    """A section with a table for each of a program's commands, in Markdown."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    told = {choice.dest: choice.help for choice in commands._choices_actions}
    sections = (f"### `{command.prog}`\n\n{_sentence(told[name])}\n\n{_table(command)}" for name, command in commands.choices.items())
    return "\n".join(sections)


def _sentence(text: str | None) -> str:
    assert text
    return f"{text[0].upper()}{text[1:]}."


def _table(command: argparse.ArgumentParser) -> str:
    return "| | |\n| --- | --- |\n" + "".join(f"| {name} | {meaning} |\n" for name, meaning in _rows(command))


def _rows(command: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in command._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        value = action.metavar or "\\|".join(map(str, action.choices or ()))
        several = "…" if action.nargs in ("*", "+") else ""
        spelt = [f"`{option} {value}`" if action.nargs != 0 else f"`{option}`" for option in action.option_strings]
        yield ", ".join(spelt) or f"`{value}`{several}", _meaning(action)


def _meaning(action: argparse.Action) -> str:
    text = action.help or "one of these"
    said = action.default in (None, False) or "default" in text
    return text if said else f"{text} (default: {action.default})"
