"""The loader: a text is compiled, or was before; its maps are made, its programs loaded and attached; all is held by descriptors.

The compiler is a process of its own (:mod:`clew_agent.loader.compiler`); what it tells is brought into the kernel here, by the bpf
system call. A text may use maps that are in the kernel already (``Request.shared``): its own of those names are not made
(docs/decisions/009-compiled-then-loaded.md).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from clew_agent.loader import syscalls
from clew_agent.loader.cache import Cache, key_of
from clew_agent.loader.compiled import Code, Compiled, CompiledError, MapShape, Source, decode, with_maps
from clew_agent.loader.kprobes import attach_kprobe
from clew_agent.loader.maps import make_map
from clew_agent.loader.syscalls import ProgramKind

_TIMEOUT = 600.0  # seconds; under emulation a compile takes a minute
_SAID = 4000  # characters of what the compiler or the verifier says that are passed on: the last ones have the reason


class LoadError(RuntimeError):
    """The programs could not be compiled, loaded or attached; the message holds what the compiler or the verifier said."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be loaded, and how.

    Maps named in ``maps`` are held by the caller; those in ``shared`` are there already, and are used instead of the text's own. A C
    function whose name begins as in :data:`_BY_NAME` is hooked where its name says. Of the others ``programs`` maps those that the
    caller attaches to their kind; ``kprobes`` are triples of C function, kernel function and whether at its return. ``called`` maps
    those that are hooked nowhere, since another calls them, to that one. ``tail_calls`` maps a program array to the program that is
    called through it.
    """

    source: Source
    maps: list[str]
    shared: list[str] = field(default_factory=list)
    programs: dict[str, ProgramKind] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    tail_calls: dict[str, str] = field(default_factory=dict)
    kprobes: list[tuple[str, str, bool]] = field(default_factory=list)


@dataclass(slots=True)
class Programs:
    """What is in the kernel, held by descriptors: when they are closed, or this process ends, all of it goes."""

    maps: dict[str, int]
    programs: dict[str, int]
    links: dict[str, int]

    def detach(self) -> None:
        """Take the programs off; what they counted stays readable."""
        close_all(self.links.values())
        self.links.clear()

    def close(self) -> None:
        """Let go of everything. Sockets leave the sockhash with it."""
        for held in (self.links, self.programs, self.maps):
            close_all(held.values())
            held.clear()


def close_all(descriptors: Iterable[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)


# How BCC's macros name the C functions of programs that are hooked by name (KFUNC_PROBE, KRETFUNC_PROBE, RAW_TRACEPOINT_PROBE).
_BY_NAME: Mapping[str, tuple[ProgramKind, int]] = {
    "kfunc__vmlinux__": (ProgramKind.TRACING, syscalls.TRACE_FENTRY),
    "kretfunc__vmlinux__": (ProgramKind.TRACING, syscalls.TRACE_FEXIT),
    "raw_tracepoint__": (ProgramKind.RAW_TRACEPOINT, 0),
}


class _Way(NamedTuple):
    """How a program is loaded. ``place`` is the kernel function or tracepoint that its name says; empty where that says none."""

    kind: ProgramKind
    attach_type: int = 0
    place: str = ""


def _way(name: str, request: Request) -> _Way:
    if name in request.called:  # the kernel lets a program call those alone that are for the same place
        return _way(request.called[name], request)
    for prefix, (kind, attach_type) in _BY_NAME.items():
        if name.startswith(prefix):
            return _Way(kind, attach_type, name.removeprefix(prefix))
    if name in request.programs:
        return _Way(request.programs[name])
    if any(name == program for program, _, _ in request.kprobes):
        return _Way(ProgramKind.KPROBE)
    raise LoadError(f"nothing says what hooks the program {name}")


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads texts on one kernel. ``cache`` has what was compiled before; None: all is compiled."""

    cache: Cache | None = None

    def load(self, request: Request, type_number: Callable[[str], int | None], shared: Mapping[str, int] | None = None) -> Programs:
        """Compile, load and attach. ``type_number`` gives the number of a kernel function in the kernel's BTF, ``shared`` has the
        maps that ``request.shared`` names. Raises :class:`LoadError`."""
        compiled = self.compile(request.source)
        with ExitStack() as undo:
            programs = Programs({}, {}, {})
            undo.callback(programs.close)
            _bring_in(request, compiled, type_number, shared or {}, programs)
            undo.pop_all()
        return programs

    def compile(self, source: Source) -> Compiled:
        """What a text becomes, from the cache where it is there. Raises :class:`LoadError`."""
        key = key_of(source) if self.cache else ""
        if self.cache and (found := self.cache.find(key)):
            return found
        try:
            child = subprocess.run(
                [sys.executable, "-m", "clew_agent.loader.compiler"],
                input=source.encode(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"the programs could not be compiled: the compiler had not ended after {_TIMEOUT:g} s") from error
        try:
            if child.returncode:
                raise CompiledError(child.stderr.strip()[-_SAID:] or f"the compiler ended with status {child.returncode}")
            compiled = decode(child.stdout)
        except CompiledError as error:
            raise LoadError(f"the programs could not be compiled: {error}") from error
        if self.cache:
            self.cache.keep(key, compiled)
        return compiled


def _bring_in(
    request: Request, compiled: Compiled, type_number: Callable[[str], int | None], shared: Mapping[str, int], made: Programs
) -> None:
    """Make the maps, load the programs and attach them, into ``made``."""
    with ExitStack() as scratch:
        maps = {name: shared[name] for name in request.shared}
        for shape in compiled.maps:
            if shape.name not in maps:
                maps[shape.name] = _make_map(shape)
                if shape.name in request.maps:
                    made.maps[shape.name] = maps[shape.name]
                else:  # the programs hold it
                    scratch.callback(os.close, maps[shape.name])
        if missing := {*request.maps, *request.shared} - {shape.name for shape in compiled.maps}:
            raise LoadError(f"the compiled programs lack {', '.join(sorted(missing))}")
        descriptors = [maps[shape.name] for shape in compiled.maps]
        for code in compiled.programs:
            made.programs[code.name] = _load(code, _way(code.name, request), descriptors, compiled.license, type_number)
        for array, name in request.tail_calls.items():
            with _hooking(array):
                syscalls.update(maps[array], bytes(4), made.programs[name].to_bytes(4, sys.byteorder))
    for name, program in made.programs.items():
        kind, _, place = _way(name, request)
        if place and name not in request.called:
            with _hooking(place):
                made.links[name] = syscalls.open_raw_tracepoint(program, place if kind is ProgramKind.RAW_TRACEPOINT else "")
    for name, function, returns in request.kprobes:
        with _hooking(function):
            made.links[name] = attach_kprobe(made.programs[name], function, returns=returns)


def _make_map(shape: MapShape) -> int:
    try:
        return make_map(shape)
    except OSError as error:
        raise LoadError(f"the kernel refused the map {shape.name}: {error.strerror}") from error


def _load(code: Code, way: _Way, descriptors: list[int], license: str, type_number: Callable[[str], int | None]) -> int:
    name, target = way.place or code.name, 0
    if way.kind is ProgramKind.TRACING:
        number = type_number(way.place)
        if number is None:
            raise LoadError(f"this kernel has no function {way.place}")
        target = number
    try:
        return syscalls.load_program(way.kind, name, with_maps(code.instructions, descriptors), license, way.attach_type, target)
    except syscalls.VerifierError as error:
        raise LoadError(f"the kernel refused the program {code.name}: {error.strerror}\n{error.said[-_SAID:]}".strip()) from error


@contextmanager
def _hooking(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LoadError(f"{place} cannot be hooked: {error.strerror}") from error
