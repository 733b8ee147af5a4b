"""``python -m clew_lab.load URL``: sends load, then prints what became of it. It needs nothing but this package and Python."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from clew_lab.load.loops import PATIENCE, closed_loop, open_loop
from clew_lab.load.message import LoadError, get
from clew_lab.load.result import LoadResult, to_json, to_text

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Send the load; 0 when every request was answered with 2xx, 1 when one failed, 2 when there was no load."""
    asked = _parser().parse_args(argv)
    try:
        result = _load(asked)
    except (LoadError, OSError) as problem:
        print(f"load: {asked.url.geturl()}: {problem}", file=sys.stderr)
        return 2
    print(json.dumps(to_json(result)) if asked.json else to_text(result), end="\n" if asked.json else "", flush=True)
    return 1 if result.failures else 0


def _load(asked: argparse.Namespace) -> LoadResult:
    url = asked.url
    address = (url.hostname, url.port or 80)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    content = get(url.netloc, target, close=asked.close)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _: stopped.append(caught))

    def request(_: int) -> bytes | None:
        return None if stopped else content

    if asked.rate is not None:
        seconds, connections = asked.seconds, asked.connections
        return open_loop(address, request, rate=asked.rate, seconds=seconds, connections=connections, patience=asked.patience)
    return closed_loop(address, request, connections=asked.concurrency, seconds=asked.seconds, patience=asked.patience)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clew_lab.load",
        description="Sends GET requests and prints how many there were, how many failed and why, and how long the others took.",
        epilog="SIGINT and SIGTERM end the load early: what was sent is waited for, and told.",
    )
    parser.add_argument("url", type=_url, help="http://HOST[:PORT]/PATH")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--rate", type=_number, help="open loop: requests that are due per second, however long answers take")
    how.add_argument("--concurrency", type=_count, help="closed loop: connections, each with one request at a time")
    parser.add_argument("--seconds", type=_number, default=60.0, help="for how long (default 60)")
    parser.add_argument("--connections", type=_count, default=32, help="of an open loop (default 32)")
    parser.add_argument("--close", action="store_true", help="a new connection for every request")
    parser.add_argument("--patience", type=_number, default=PATIENCE, help="seconds to wait for an answer (default 60)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _url(text: str) -> SplitResult:
    with suppress(ValueError):
        url = urlsplit(text)
        if url.scheme == "http" and url.hostname and url.port != 0:
            return url
    raise argparse.ArgumentTypeError(f"{text!r} is not of the form http://HOST[:PORT]/PATH")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _number(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
