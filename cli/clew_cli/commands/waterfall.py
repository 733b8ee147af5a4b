"""``waterfall``: traces of an OTLP-JSON file, as text or as a page."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clew_cli.errors import CommandError
from clew_cli.otlp import Reading, read_spans
from clew_cli.page import render_page
from clew_cli.text import NARROWEST, render_trace
from clew_cli.tree import Trace, build_traces

if TYPE_CHECKING:
    from clew_cli.main import Commands

WIDTH_WITHOUT_TERMINAL = 160
_LEAST_ID_DIGITS = 4


def add(commands: Commands) -> None:
    """Make the command's parser."""
    command = commands.add_parser("waterfall", help="show traces from an OTLP-JSON file")
    command.add_argument("file", metavar="FILE", help='one ExportTraceServiceRequest a line; "-" is standard input')
    command.add_argument("--html", type=Path, metavar="OUT", help="write one self-contained page instead of text")
    command.add_argument("--trace", metavar="ID", help=f"only this trace: its ID or at least the first {_LEAST_ID_DIGITS} digits of it")
    command.add_argument("--width", type=_width, metavar="N", help="columns of the table (by default the terminal's)")
    command.set_defaults(run=_run, called=command.prog)


def _width(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not NARROWEST <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f'"{text}" is not allowed: a whole number of columns from {NARROWEST} to 1000')
    return int(text)


def _run(options: argparse.Namespace) -> int:
    try:
        reading = _read(options.file)
    except OSError as error:
        raise CommandError(f"{options.file}: cannot be read: {error.strerror}") from error
    for problem in reading.problems:
        print(f"{options.called}: {options.file}: {problem}", file=sys.stderr)
    traces = build_traces(reading.spans)
    if options.trace is not None:
        traces = _chosen(traces, options.trace)
    if not traces:
        wanted = "" if options.trace is None else f' whose ID is or begins with "{options.trace}" (at least {_LEAST_ID_DIGITS} digits)'
        raise CommandError(f"{options.file}: holds no trace{wanted}")
    if options.html is not None:
        try:
            options.html.write_text(render_page(traces, reading.problems), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options.html}: cannot be written: {error.strerror}") from error
        print(f"{options.html}: {len(traces)} trace{'' if len(traces) == 1 else 's'}")
    else:
        width = options.width or shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns
        print("\n\n".join(render_trace(trace, width) for trace in traces))
    return 1 if reading.problems else 0


def _chosen(traces: list[Trace], identifier: str) -> list[Trace]:
    wanted = identifier.strip().lower()
    return [trace for trace in traces if len(wanted) >= _LEAST_ID_DIGITS and trace.trace_id.startswith(wanted)]


def _read(name: str) -> Reading:
    if name == "-":
        return read_spans(sys.stdin.buffer)
    with Path(name).open("rb") as file:
        return read_spans(file)
