"""Which kernel functions there are and can be hooked, and what a name that is not there may have meant.

BTF says what a function takes; whether it can be hooked is the tracer's word (``available_filter_functions`` of tracefs, which
lists what begins with an ftrace call). ``/proc/kallsyms`` tells functions of modules and those that were inlined away.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FILTER_FUNCTIONS = (
    Path("/sys/kernel/tracing/available_filter_functions"),
    Path("/sys/kernel/debug/tracing/available_filter_functions"),
)
KALLSYMS = Path("/proc/kallsyms")

_TRAMPOLINE = re.compile(r"^([0-9a-f]+) [tT] (?:arch_rethook_trampoline|__kretprobe_trampoline)$", re.MULTILINE)
DATA = "(data)"
_CLONES = (".isra.0", ".constprop.0", ".part.0")
_NEAR = 3
_LENGTHS = 4


@dataclass(frozen=True, slots=True)
class Symbols:
    """What was read about the names that were asked for; either is None where it could not be read.

    ``traceable`` are those that can be traced. ``modules`` has, for each name (and for the compiler's clones of it) that is there,
    where it is, as often as it is there: a module's name, "" for the kernel itself, or ``DATA`` for what is no code.
    """

    traceable: frozenset[str] | None
    modules: dict[str, tuple[str, ...]] | None


def parse_filter_functions(text: str, names: Iterable[str]) -> frozenset[str]:
    """Those of ``names`` that ``available_filter_functions`` lists for the kernel itself; a module's are marked by brackets."""
    text = f"\n{text}"
    return frozenset(name for name in names if f"\n{name}\n" in text)


def parse_kallsyms(text: str, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Where the symbols of these names, and the compiler's clones of them, are, by ``/proc/kallsyms``.

    The text has ten megabytes, so it is searched for each name and never taken apart.
    """
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        for symbol in (name, *(f"{name}{suffix}" for suffix in _CLONES)):
            at = -1
            while (at := text.find(f" {symbol}", at + 1)) >= 0:
                rest = text[at + 1 + len(symbol) : text.find("\n", at)]
                if not rest or rest.startswith("\t["):
                    found.setdefault(symbol, []).append(rest.strip("\t[]") if text[at - 1] in "tTwW" else DATA)
    return {symbol: tuple(places) for symbol, places in found.items()}


def read_symbols(names: Iterable[str], filters: Iterable[Path] = FILTER_FUNCTIONS, kallsyms: Path = KALLSYMS) -> Symbols:
    """Read what the kernel lets this process read about functions. Never raises ``OSError``: what cannot be read is None.

    The kernel makes both lists anew for every reader, which takes it a good part of a second: read them to explain a failure.
    """
    wanted = list(names)
    listed = next((text for path in filters if (text := _read(path))), None)
    known = _read(kallsyms)
    return Symbols(
        None if listed is None else parse_filter_functions(listed, wanted),
        None if known is None else parse_kallsyms(known, wanted),
    )


def parse_return_trampoline(text: str) -> int:
    """The address of the code by which kretprobes see returns; 0 where it is hidden (``kptr_restrict``) or not there."""
    found = _TRAMPOLINE.search(text)
    return int(found[1], 16) if found else 0


def read_return_trampoline(kallsyms: Path = KALLSYMS) -> int:
    """That address in the running kernel; needed where functions are hooked by kprobes. Never raises ``OSError``."""
    return parse_return_trampoline(_read(kallsyms) or "")


def _read(path: Path) -> str | None:
    """A file's text, or None where it is not readable or empty."""
    try:
        return path.read_text() or None
    except OSError:
        return None


def why_not(name: str, described: bool, symbols: Symbols, *, kprobe: bool = False) -> str | None:
    """Why a function cannot be hooked (by ``kprobe``, or else fentry), or None where nothing speaks against it.

    ``described``: BTF has it.
    """
    places = (symbols.modules or {}).get(name, ())
    if kprobe and "" in places and DATA in places:
        return f"the kernel has a function and a variable named {name}, and kprobes cannot tell which is meant"
    places = tuple(place for place in places if place != DATA)
    if places and "" not in places:
        return f"{name} is in the module {places[0]}; only functions of the kernel itself can be recorded"
    if places.count("") > 1:
        return f"the kernel has {places.count('')} functions named {name}, and cannot tell which is meant"
    if not described:
        if not places and symbols.modules is not None and (clone := _clone(name, symbols.modules)):
            return f"the compiler made {clone} of {name}, so it does not take the arguments of the source and cannot be recorded"
        return f"the kernel's BTF does not describe {name} (it may be written in assembler), so it cannot be recorded" if places else None
    if symbols.traceable is not None and name not in symbols.traceable:
        return f"the kernel does not let {name} be traced (notrace, or inlined wherever it is called)"
    return None


def _clone(name: str, modules: dict[str, tuple[str, ...]]) -> str | None:
    return next((f"{name}{suffix}" for suffix in _CLONES if f"{name}{suffix}" in modules), None)


def near_names(name: str, names: Iterable[str]) -> list[str]:
    """At most three names that a mistyped one may have meant, nearest first.

    Comparing tens of thousands of names letter by letter takes seconds, so those that share most pieces are sorted out first.
    """
    pieces = {name[at : at + 3] for at in range(len(name) - 2)} or {name}
    scored = []
    for other in names:
        if abs(len(other) - len(name)) <= _LENGTHS and (score := sum(piece in other for piece in pieces)):
            scored.append((-score, other))
    scored.sort()
    return difflib.get_close_matches(name, [other for _, other in scored[:200]], n=_NEAR, cutoff=0.75)
