"""The ``clew`` command: arguments, files and streams; the work is done by the pure modules beside this one.

Exit status: 0 done, 1 a file could be read but something in it is wrong, 2 wrong usage or nothing could be read.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from clew_crds import PolicyError, load_policies

from clew_cli.decode import decode, render
from clew_cli.otlp import Reading, read_spans
from clew_cli.page import render_page
from clew_cli.text import NARROWEST, render_trace
from clew_cli.tree import Trace, build_traces

WIDTH_WITHOUT_TERMINAL = 160
_LEAST_ID_DIGITS = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # the streams of a process are TextIOWrapper
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clew", description="Check policies, take identifiers apart, and show traces.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("decode", help="take a trace ID, a span ID or a traceparent apart")
    command.add_argument("identifiers", nargs="+", metavar="ID", help="32 or 16 hexadecimal digits, or a traceparent header")
    command.add_argument("--json", action="store_true", help="one JSON object a line instead of text for people")
    command.set_defaults(run=_decode)

    command = commands.add_parser("waterfall", help="show traces from an OTLP-JSON file")
    command.add_argument("file", metavar="FILE", help='one ExportTraceServiceRequest a line; "-" is standard input')
    command.add_argument("--html", type=Path, metavar="OUT", help="write one self-contained page instead of text")
    command.add_argument("--trace", metavar="ID", help=f"only this trace: its ID or at least the first {_LEAST_ID_DIGITS} digits of it")
    command.add_argument("--width", type=_width, metavar="N", help="columns of the table (by default the terminal's)")
    command.set_defaults(run=_waterfall)

    command = commands.add_parser("check", help="check policy files without a cluster")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a YAML file with one or more TracingPolicy documents")
    command.set_defaults(run=_check)
    return parser


def _width(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not NARROWEST <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f'"{text}" is not allowed: a whole number of columns from {NARROWEST} to 1000')
    return int(text)


def _decode(options: argparse.Namespace) -> int:
    status = 0
    for text in options.identifiers:
        try:
            decoded = decode(text, time.time())
        except ValueError as error:
            print(f"clew decode: {error}", file=sys.stderr)
            status = 2
            continue
        print(json.dumps(decoded.as_json()) if options.json else render(decoded))
    return status


def _check(options: argparse.Namespace) -> int:
    status = 0
    for path in options.files:
        try:
            for policy in load_policies(path):
                print(f"{path}: {policy.metadata.name} is valid")
        except PolicyError as error:
            print(error, file=sys.stderr)
            status = 1
    return status


def _waterfall(options: argparse.Namespace) -> int:
    try:
        reading = _read(options.file)
    except OSError as error:
        print(f"clew waterfall: {options.file}: cannot be read: {error.strerror}", file=sys.stderr)
        return 2
    for problem in reading.problems:
        print(f"clew waterfall: {options.file}: {problem}", file=sys.stderr)
    traces = build_traces(reading.spans)
    if options.trace is not None:
        traces = _chosen(traces, options.trace)
    if not traces:
        wanted = "" if options.trace is None else f' whose ID is or begins with "{options.trace}" (at least {_LEAST_ID_DIGITS} digits)'
        print(f"clew waterfall: {options.file}: holds no trace{wanted}", file=sys.stderr)
        return 2
    if options.html is not None:
        try:
            options.html.write_text(render_page(traces, reading.problems), encoding="utf-8")
        except OSError as error:
            print(f"clew waterfall: {options.html}: cannot be written: {error.strerror}", file=sys.stderr)
            return 2
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


if __name__ == "__main__":
    raise SystemExit(main())
