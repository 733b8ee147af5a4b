"""Which kernel functions there are and can be hooked, and what a name that is not there may have meant.

BTF says what a function takes; whether it can be hooked is the tracer's word (``available_filter_functions`` of tracefs, which
lists what begins with an ftrace call). ``/proc/kallsyms`` tells functions of modules and those that were inlined away.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FILTER_FUNCTIONS = (
    Path("/sys/kernel/tracing/available_filter_functions"),
    Path("/sys/kernel/debug/tracing/available_filter_functions"),
)
KALLSYMS = Path("/proc/kallsyms")

_NEAR = 3
_LENGTHS = 4


@dataclass(frozen=True, slots=True)
class Symbols:
    """What was read: functions that can be traced, and all symbols with their module ("" for the kernel itself).

    Either is None where it could not be read.
    """

    traceable: frozenset[str] | None
    modules: dict[str, str] | None


def parse_filter_functions(text: str) -> frozenset[str]:
    """The names of ``available_filter_functions``; a module follows its function in brackets and is left out."""
    return frozenset(line.split(" ", 1)[0] for line in text.splitlines() if line and "[" not in line)


def parse_kallsyms(text: str) -> dict[str, str]:
    """The code symbols of ``/proc/kallsyms`` with the module of each."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) >= 3 and parts[1] in "tTwW":
            found.setdefault(parts[2], parts[3].strip("[]") if len(parts) > 3 else "")
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
        modules = parse_kallsyms(kallsyms.read_text())
    except OSError:
        modules = None
    return Symbols(traceable or None, modules or None)


def why_not(name: str, described: bool, symbols: Symbols) -> str | None:
    """Why a function cannot be hooked, or None where nothing speaks against it. ``described``: BTF has it."""
    module = (symbols.modules or {}).get(name)
    if module:
        return f"{name} is in the module {module}; only functions of the kernel itself can be recorded"
    if not described:
        if module is None and symbols.modules is not None and (clone := _clone(name, symbols.modules)):
            return f"the compiler made {clone} of {name}, so it does not take the arguments of the source and cannot be recorded"
        if module == "":
            return f"the kernel's BTF does not describe {name} (several functions of this name, or assembler), so it cannot be recorded"
        return None
    if symbols.traceable is not None and name not in symbols.traceable:
        return f"the kernel does not let {name} be traced (notrace, or inlined wherever it is called)"
    return None


def _clone(name: str, modules: dict[str, str]) -> str | None:
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
