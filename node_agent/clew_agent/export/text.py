"""Sinks without a collector: OTLP/JSON lines in a file, and one readable line a span on the console."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from clew_agent.export.base import Result, Sent
from clew_agent.export.otlp_json import trace_request
from clew_agent.model import Span


class FileSink:
    """Appends one ``ExportTraceServiceRequest`` a line, as OTLP/JSON. Raises ``OSError`` when the file cannot be opened."""

    def __init__(self, path: Path) -> None:
        """Make the file if it is not there."""
        self._path = path
        with path.open("ab"):
            pass

    def send(self, spans: Sequence[Span]) -> Sent:
        """Append the batch as one line. The file is opened anew each time, so that it may be moved away (log rotation)."""
        line = json.dumps(trace_request(spans), separators=(",", ":"), ensure_ascii=False) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            return Sent(Result.RETRY, f"{self._path}: {error.strerror}")
        return Sent(Result.SENT)

    def close(self) -> None:
        """Nothing is kept open."""


class ConsoleSink:
    """Writes one line a span: trace, span and parent id, kind, name, duration and pod."""

    def __init__(self, out: TextIO) -> None:
        """``out`` stays the caller's."""
        self._out = out

    def send(self, spans: Sequence[Span]) -> Sent:
        """Write the batch out. A closed pipe refuses it: nobody reads."""
        try:
            self._out.write("".join(f"{console_line(span)}\n" for span in spans))
            self._out.flush()
        except OSError as error:
            return Sent(Result.REFUSED, f"console: {error.strerror}")
        return Sent(Result.SENT)

    def close(self) -> None:
        """The stream is the caller's."""


def console_line(span: Span) -> str:
    """One line without control characters, whatever a request's bytes were."""
    parent = span.parent_id.hex() if span.parent_id is not None else "-" * 16
    described = span.described
    pod = described.resource.get("k8s.pod.name", "unknown")
    failed = " ERROR" if described.error is not None else ""
    took = f"{(span.end_ns - span.start_ns) / 1e6:.3f}ms"
    text = f"{span.trace_id.hex()} {span.span_id.hex()} {parent} {described.name} {took} pod={pod}{failed}"
    return "".join(character if character.isprintable() else "?" for character in text)
