"""The kernel functions that are hooked now: which record, which are being built, and which only end the calls that they began.

A change goes in three steps. What is lacking is built in a thread, beside all that runs, and records nothing yet. When the agent says
so, the new hooks are told whose calls to record, and those that nobody wants any more are told to begin none: two map values each, so
a switch takes microseconds. A hook that is wanted no more stays attached until its calls have ended. Hooks that the old list and the
new one have in common are not touched at all (docs/decisions/008-functions-swapped-live.md).
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from clew_agent.function_programs import Build, Built
from clew_agent.functions.codegen import Hook
from clew_agent.functions.layout import FunctionLayout
from clew_agent.functions.planning import Mode
from clew_agent.functions.request import FunctionRequest, Problem
from clew_agent.functions.ways import HookKey, Setting
from clew_agent.kernel_settings import pack, settings_header
from clew_agent.loader import syscalls
from clew_agent.loader.load import LoadError, close_all

_LOG = logging.getLogger("clew.functions")
_SETTLE = 1.0  # seconds: calls that were just beginning have been counted by then
_LONGEST = 30.0  # seconds that calls may take to end when their hook is wanted no more

Requests = tuple[FunctionRequest, ...]


@dataclass(slots=True)
class _Live:
    """A hook in the kernel. ``leaving_since``: when it was found that nobody wants it any more; None while somebody does."""

    hook: Hook
    links: tuple[int, ...]
    programs: tuple[int, ...]
    settings: tuple[Setting, ...] = ()
    leaving_since: float | None = None


@dataclass(slots=True)
class _Build:
    """A build under way, or done when ``outcome`` is there."""

    requests: Requests
    outcome: Built | LoadError | None = None


class FunctionHooks:
    """All hooks of functions. One thread calls the methods, but ``counts`` may be asked for by any."""

    def __init__(self, build: Build, maps: Mapping[str, int]) -> None:
        """``build`` is ``FunctionBuilder.build``; ``maps`` are the request path's."""
        self.problems: tuple[Problem, ...] = ()
        self.layouts: Mapping[int, FunctionLayout] = {}
        self._make = build
        self._maps = dict(maps)
        self._own_maps: list[int] = []
        self._live: dict[HookKey, _Live] = {}
        self._fading: dict[int, FunctionLayout] = {}  # of hooks that were just taken off: their last records are yet to be read
        self._in_force: Requests = ()
        self._build: _Build | None = None
        self._last_number = -1
        self._missed = self._cut = 0
        self._lock = threading.Lock()

    def prepare(self, requests: Requests) -> bool:
        """See to it that :meth:`switch` can put these in force; True when it can. To be called again until then.

        Raises ``LoadError`` where they could not be built, at every call, until others are asked for.
        """
        if self._build is not None and self._build.outcome is not None and self._build.requests != requests:
            self._discard(self._build.outcome)
            self._build = None
        if requests == self._in_force:
            return True
        if self._build is None:
            self._start(requests)
        outcome = self._build.outcome if self._build is not None and self._build.requests == requests else None
        if isinstance(outcome, LoadError):
            raise outcome
        return outcome is not None

    def switch(self, requests: Requests) -> None:
        """Put in force what was prepared, if it is not already."""
        build = self._build
        if requests == self._in_force or build is None or not isinstance(build.outcome, Built):
            return
        self._build, built = None, build.outcome
        self._take(built)
        wanted = {want.key: want.settings for want in built.wanted}
        now = time.monotonic()
        for key, live in self._live.items():
            if key not in wanted and live.leaving_since is None:
                self._tell(live, tuple(Setting(0, setting.minimum_ns) for setting in live.settings))
                live.leaving_since = now
        for key, settings in wanted.items():
            self._tell(self._live[key], settings)
            self._live[key].leaving_since = None
        # Two hooks of one function share its trampoline. Whatever comes to it or leaves it costs those that stay the calls that are
        # open: the old one's were lost when the new one came, and the new one has none yet.
        trampolines = {key.function for key in wanted if key.mode is Mode.FENTRY}
        for key in [key for key in self._live if key not in wanted and key.mode is Mode.FENTRY and key.function in trampolines]:
            self._cut += self._remove(key)
        self.problems, self._in_force = built.problems, build.requests
        self._list()

    def tend(self) -> None:
        """Take off the hooks that nobody wants and that have no open calls any more. To be called every second or so."""
        if self._build is not None:
            return
        self._fading.clear()
        now = time.monotonic()
        for key, live in list(self._live.items()):
            if live.leaving_since is None or now - live.leaving_since < _SETTLE:
                continue
            if self._open_calls(live.hook) <= 0 or now - live.leaving_since > _LONGEST:
                self._cut += self._remove(key)
        self._list()

    def counts(self) -> dict[str, int]:
        """What metrics tell of the hooks, for any thread."""
        with self._lock:
            missed = sum(runs_missed(live.programs) for live in self._live.values())
            return {"program_runs_missed": self._missed + missed, "function_calls_cut": self._cut}

    def __len__(self) -> int:
        """How many kernel functions are recorded."""
        return sum(live.leaving_since is None for live in self._live.values())

    def detach(self) -> None:
        """Take all hooks off; what was counted stays."""
        for key in list(self._live):
            self._remove(key)

    def close(self) -> None:
        """Let go of everything."""
        self.detach()
        close_all(self._own_maps)
        self._own_maps.clear()

    def _start(self, requests: Requests) -> None:
        build = self._build = _Build(requests)
        used = {number for live in self._live.values() for number in live.hook.numbers} | self._fading.keys()
        there, numbers, maps = frozenset(self._live), _free_numbers(used, self._last_number), dict(self._maps)

        def work() -> None:
            try:
                build.outcome = self._make(requests, there, numbers, maps)
            except LoadError as error:
                build.outcome = error
            except Exception as error:  # what a kernel's files may hold is not known: the agent goes on with what it has
                _LOG.exception("the programs of kernel functions could not be built")
                build.outcome = LoadError(f"the programs could not be built: {error}")

        threading.Thread(target=work, name="clew-build", daemon=True).start()

    @staticmethod
    def _discard(outcome: Built | LoadError) -> None:
        if isinstance(outcome, Built) and outcome.programs is not None:
            outcome.programs.close()

    def _take(self, built: Built) -> None:
        programs = built.programs
        if programs is None:
            return
        self._maps.update(programs.maps)
        self._own_maps += programs.maps.values()
        with self._lock:
            for hook in built.fresh:
                names = (hook.entry, hook.exit)
                links = tuple(programs.links[name] for name in names)
                self._live[hook.key] = _Live(hook, links, tuple(programs.programs[name] for name in names))
                self._last_number = hook.numbers[-1]

    def _tell(self, live: _Live, settings: tuple[Setting, ...]) -> None:
        for number, setting in zip(live.hook.numbers, settings, strict=True):
            value = pack("function_setting", {"policies": setting.policies, "minimum_ns": setting.minimum_ns})
            syscalls.update(self._maps["function_settings"], struct.pack("=I", number), value)
        live.settings = settings

    def _open_calls(self, hook: Hook) -> int:
        return sum(sum(syscalls.lookup_per_cpu(self._maps["function_calls"], number, "q")) for number in hook.numbers)

    def _remove(self, key: HookKey) -> int:
        """Take a hook off; how many of its calls were open."""
        live = self._live[key]
        left = self._open_calls(live.hook)
        with self._lock:
            del self._live[key]
            self._missed += runs_missed(live.programs)
            close_all((*live.links, *live.programs))
        self._fading.update(zip(live.hook.numbers, live.hook.layouts, strict=True))
        return max(0, left)

    def _list(self) -> None:
        layouts = dict(self._fading)
        for live in self._live.values():
            layouts.update(zip(live.hook.numbers, live.hook.layouts, strict=True))
        if layouts != self.layouts:
            self.layouts = layouts


def runs_missed(programs: Iterable[int]) -> int:
    """How often the kernel left these programs out, since they were running on that CPU already (kernels that preempt programs)."""
    return sum(syscalls.program_info(program).get("recursion_misses", 0) for program in programs)


def _free_numbers(used: Container[int], last: int) -> Iterator[int]:
    """Numbers that no hook has, those that were not had for longest first."""
    size = settings_header().defines["FUNCTIONS_MAX"]
    for step in range(size):
        if (number := (last + 1 + step) % size) not in used:
            yield number
    raise LoadError(f"policies ask for more than {size} ways of recording kernel functions")
