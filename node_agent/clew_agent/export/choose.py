"""An exporter from the word that the command line gives."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from clew_agent.export.base import Exporter, Sink
from clew_agent.export.queue import QueuedExporter
from clew_agent.export.settings import SettingsError, queue_limits
from clew_agent.export.text import ConsoleSink, FileSink

CHOICES = "otlp, console or file:PATH"


def make_exporter(choice: str, environment: Mapping[str, str]) -> Exporter:
    """``otlp``, ``console`` or ``file:PATH``, running. Raises ``SettingsError`` with what to do about it.

    ``environment`` is the process's: the official OTLP exporters read theirs themselves.
    """
    limits = queue_limits(environment)
    return QueuedExporter(_make_sink(choice, environment), limits)


def _make_sink(choice: str, environment: Mapping[str, str]) -> Sink:
    if choice == "console":
        return ConsoleSink(sys.stdout)
    kind, _, path = choice.partition(":")
    if kind == "file" and path:
        try:
            return FileSink(Path(path))
        except OSError as error:
            raise SettingsError(f"cannot write spans to {path}: {error.strerror}") from error
    if choice == "otlp":
        from clew_agent.export.otlp import make_otlp_sink

        return make_otlp_sink(environment)
    raise SettingsError(f"unknown exporter {choice!r}; allowed are {CHOICES}")
