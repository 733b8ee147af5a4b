"""``decode``: identifiers, taken apart one by one."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from clew_cli.decode import decode, render
from clew_cli.errors import NOTHING_READ

if TYPE_CHECKING:
    from clew_cli.main import Commands


def add(commands: Commands) -> None:
    """Make the command's parser."""
    command = commands.add_parser("decode", help="take a trace ID, a span ID or a traceparent apart")
    command.add_argument("identifiers", nargs="+", metavar="ID", help="32 or 16 hexadecimal digits, or a traceparent header")
    command.add_argument("--json", action="store_true", help="one JSON object a line instead of text for people")
    command.set_defaults(run=_run, called=command.prog)


def _run(options: argparse.Namespace) -> int:
    status = 0
    for text in options.identifiers:
        try:
            decoded = decode(text, time.time())
        except ValueError as error:
            print(f"{options.called}: {error}", file=sys.stderr)
            status = NOTHING_READ
            continue
        print(json.dumps(decoded.as_json()) if options.json else render(decoded))
    return status
