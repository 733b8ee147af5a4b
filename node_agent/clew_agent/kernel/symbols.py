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
_NEAR = 3
_LENGTHS = 4


@dataclass(frozen=True, slots=True)
class Symbols:
    """What was read: functions that can be traced, and all code symbols with the modules that have them ("": the kernel itself).

    A symbol that is there several times has as many entries. Either is None where it could not be read.
    ``return_trampoline`` is the address of the code by which kretprobes see a function return; 0 where that is hidden.
    """

    traceable: frozenset[str] | None
    modules: dict[str, tuple[str, ...]] | None
    return_trampoline: int = 0


def parse_filter_functions(text: str) -> frozenset[str]:
    """The names of ``available_filter_functions``; a module follows its function in brackets and is left out."""
    return frozenset(line.split(" ", 1)[0] for line in text.splitlines() if line and "[" not in line)


def parse_kallsyms(text: str) -> dict[str, tuple[str, ...]]:
    """The code symbols of ``/proc/kallsyms`` with the module of each."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) >= 3 and parts[1] in "tTwW":
            found[parts[2]] = (*found.get(parts[2], ()), parts[3].strip("[]") if len(parts) > 3 else "")
    return found


def read_symbols(filters: Iterable[Path] = FILTER_FUNCTIONS, kallsyms: Path = KALLSYMS) -> Symbols:
    """Read what the running kernel lets this process read. Never raises ``OSError``: what cannot be read is None."""
    traceable = None
    for path in filters:
        try:
            traceable = parse_filter_functions(path.read_text())
            break
        except OSError:
            continue
    try:
        text = kallsyms.read_text()
    except OSError:
        text = ""
    return Symbols(traceable or None, parse_kallsyms(text) or None, parse_return_trampoline(text))


def parse_return_trampoline(text: str) -> int:
    """The trampoline's address in ``/proc/kallsyms``; 0 where it is hidden (``kptr_restrict``) or not there."""
    found = _TRAMPOLINE.search(text)
    return int(found[1], 16) if found else 0


def why_not(name: str, described: bool, symbols: Symbols) -> str | None:
    """Why a function cannot be hooked, or None where nothing speaks against it. ``described``: BTF has it."""
    places = (symbols.modules or {}).get(name, ())
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
    return next((f"{name}{suffix}" for suffix in (".isra.0", ".constprop.0", ".part.0") if f"{name}{suffix}" in modules), None)


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
