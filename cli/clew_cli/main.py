"""The ``clew`` command, and ``kubectl clew``: its arguments and streams; each group of subcommands is a file in ``commands/``.

Exit status: 0 done, 1 something was read but is not as it should be, 2 wrong usage or nothing could be read, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clew_cli.commands import ask, check, decode, status, waterfall
from clew_cli.errors import CommandError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    """Where a group of subcommands puts its parsers."""

PLUGIN = "kubectl-clew"
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # the streams of a process are TextIOWrapper
    options = _parser(program_name(sys.argv[0])).parse_args(arguments)
    try:
        exit_status: int = options.run(options)
        sys.stdout.flush()
    except CommandError as error:
        print(f"{options.called}: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return exit_status


def program_name(called_as: str) -> str:
    """What help texts call the program: as kubectl's plugin it is called by kubectl, under the plugin's file name."""
    return "kubectl clew" if Path(called_as).stem == PLUGIN else "clew"


def _parser(program: str) -> argparse.ArgumentParser:
    description = "Show and steer what Clew's policies do on a cluster, check policies, take identifiers apart, and show traces."
    parser = argparse.ArgumentParser(prog=program, description=description)
    commands: Commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (status, ask, check, decode, waterfall):
        group.add(commands)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
