"""Jaeger and the Collector as processes of this machine, for as long as a test needs them.

Each has ports that nobody else has, a folder with its configuration and its log, and ends with whoever started it, in whatever way.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clew_lab.backends.build import COLLECTOR, JAEGER, PROGRAMS
from clew_lab.backends.query import JaegerQuery
from clew_lab.backends.settings import Guard, Way, collector_config, jaeger_config
from clew_lab.cluster import ports
from clew_lab.cluster.ports import Ports
from clew_lab.cluster.processes import ProcessGroup
from clew_lab.image import cache_dir
from clew_lab.store import in_use

__all__ = ["BackendError", "Jaeger", "command_line", "has_begun", "jaeger_on", "jaeger_settings", "start_collector", "start_jaeger"]

_BEGUN = "Everything is ready. Begin running and processing data."
_START_SECONDS = 60.0
_POLL_SECONDS = 0.05


class BackendError(RuntimeError):
    """A program ended, or was not ready in time; the message holds what it logged."""


@dataclass(frozen=True, slots=True)
class Jaeger:
    """A running Jaeger: where it takes OTLP, and what it is asked by."""

    way: Way
    query: JaegerQuery


@contextmanager
def start_jaeger() -> Iterator[Jaeger]:
    """Run a Jaeger that holds nothing yet while the body runs.

    Raises :class:`clew_lab.store.NotBuilt` and :class:`BackendError`.
    """
    with _running(JAEGER, jaeger_settings) as reserved:
        yield jaeger_on(reserved)


@contextmanager
def start_collector(onward: Way, guard: Guard | None = None) -> Iterator[Way]:
    """Run a Collector that sends on to there while the body runs; yields where it takes OTLP, by TLS alone if it has a guard.

    Raises :class:`clew_lab.store.NotBuilt` and :class:`BackendError`.
    """

    def way(reserved: Ports) -> Way:
        return Way(reserved.collector_grpc, reserved.collector_http, "http" if guard is None else "https")

    with _running(COLLECTOR, lambda reserved: collector_config(way(reserved), onward.grpc.partition("//")[2], guard)) as reserved:
        yield way(reserved)


def jaeger_on(reserved: Ports) -> Jaeger:
    """Return the Jaeger on these ports."""
    return Jaeger(Way(reserved.jaeger_grpc, reserved.jaeger_http), JaegerQuery(f"http://127.0.0.1:{reserved.jaeger_query}"))


def jaeger_settings(reserved: Ports) -> str:
    """Return the configuration of that Jaeger."""
    return jaeger_config(jaeger_on(reserved).way, reserved.jaeger_query)


def command_line(program: Path, name: str, configuration: Path) -> Sequence[str]:
    """Return how a program is called; `program` is the folder of its build."""
    return [str(program / name), f"--config={configuration}"]


def has_begun(log: Path) -> bool:
    """Whether the program of this log has said that it listens on all its ports."""
    return _BEGUN in log.read_text(errors="replace")


@contextmanager
def _running(name: str, configuration: Callable[[Ports], str]) -> Iterator[Ports]:
    program = PROGRAMS[name].find()
    with in_use(program), ports.reserved(cache_dir() / "ports") as reserved:
        folder = Path(tempfile.mkdtemp(prefix=f"clew-{name}-"))
        with ProcessGroup(folder) as group:
            written = folder / f"{name}.json"
            written.write_text(configuration(reserved))
            group.start(name, command_line(program, name, written))
            _await_begun(group, name)
            yield reserved


def _await_begun(group: ProcessGroup, name: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not has_begun(group.log(name)):
        if group.ended() or time.monotonic() > deadline:
            raise BackendError(f"{name} is not ready; it said:\n{group.log(name).read_text(errors='replace')}")
        time.sleep(_POLL_SECONDS)
