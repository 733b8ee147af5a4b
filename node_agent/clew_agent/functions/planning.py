"""From a request and the kernel's BTF to a plan: which registers hold what, where it goes, and how the function is hooked.

A call's arguments come in registers: the first six on x86, eight on arm64. fentry sees them in an array, kprobe in the saved
registers. A parameter that is a struct takes one or two registers or none, and shifts the rest, so arguments are recorded up to
the first such one. What fentry cannot take (more than six parameters, structs, variable arguments) is hooked by kprobe.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clew_agent.functions.arguments import ArgumentRow, describe, row_for
from clew_agent.functions.layout import ArgumentLayout, FunctionLayout
from clew_agent.functions.request import ArgumentRequest, FunctionError, FunctionRequest, Problem
from clew_agent.kernel.btf import COMPOUND, Btf, Function
from clew_agent.kernel.symbols import Symbols, near_names, why_not

REGISTERS = 6
"""Parameters that every supported machine passes in registers, and that BCC has a macro for."""

ARGUMENTS_MAX = 368
"""Bytes of arguments of one call: so much that the stack of a thread's open calls (``bpf/functions.h``) stays within 8 KiB."""


class Mode(enum.Enum):
    """How entry and exit of a function are hooked."""

    FENTRY = "fentry"
    KPROBE = "kprobe"


@dataclass(frozen=True, slots=True)
class Capture:
    """One argument: the register's index, the row that stores it, and its place in the record."""

    register: int
    row: ArgumentRow
    layout: ArgumentLayout


@dataclass(frozen=True, slots=True)
class FunctionPlan:
    """A request made definite. ``arguments_length`` is a multiple of eight bytes; ``parameters`` counts the function's own."""

    request: FunctionRequest
    captures: tuple[Capture, ...]
    layout: FunctionLayout
    arguments_length: int
    parameters: int


def fentry_unfit(btf: Btf, function: Function) -> str | None:
    """Why fentry cannot take this function, or None where it can."""
    if function.variadic:
        return "it takes a variable number of arguments"
    if len(function.parameters) > REGISTERS:
        return f"it has {len(function.parameters)} parameters, and fentry takes {REGISTERS}"
    if any(_is_wide(btf, parameter.type) for parameter in function.parameters):
        return "it takes a structure by value"
    if function.returns and _is_wide(btf, function.returns):
        return "it returns a structure by value"
    return None


def mode_for(btf: Btf, name: str, *, fentry: bool) -> Mode:
    """How to hook a function on a kernel that has fentry or has it not."""
    function = btf.function(name)
    return Mode.FENTRY if fentry and function is not None and fentry_unfit(btf, function) is None else Mode.KPROBE


def plan_requests(
    requests: Sequence[FunctionRequest], btf: Btf, modes: Mapping[str, Mode], symbols: Symbols, no_kprobes: str
) -> tuple[tuple[FunctionPlan, ...], tuple[Problem, ...]]:
    """Plan all requests. One that cannot be met becomes a problem and leaves the others alone.

    ``modes`` says how to hook each function, ``symbols`` which cannot be hooked (``symbols.read_symbols``), and ``no_kprobes`` why
    kprobes cannot be used; it is empty where they can.
    """
    plans: list[FunctionPlan] = []
    problems: list[Problem] = []
    for request in requests:
        try:
            kprobe = modes.get(request.name) is Mode.KPROBE
            if reason := why_not(request.name, btf.function(request.name) is not None, symbols, kprobe=kprobe):
                raise FunctionError("FunctionNotTraceable", reason)
            if kprobe and no_kprobes:
                raise FunctionError("KprobesRefused", f"{request.name} can be recorded by kprobe alone, and {no_kprobes}")
            plans.append(plan_function(btf, request))
        except FunctionError as error:
            problems.append(Problem(request.name, error.reason, str(error), request.policies))
    return tuple(plans), tuple(problems)


def plan_function(btf: Btf, request: FunctionRequest) -> FunctionPlan:
    """Plan one function. Raises :class:`FunctionError`, whose message names what there is instead."""
    function = btf.function(request.name)
    if function is None:
        near = near_names(request.name, btf.function_names)
        raise FunctionError("FunctionNotFound", f"this kernel has no function {request.name}{_perhaps(near)}")
    captures: list[Capture] = []
    end = 0
    for asked in request.arguments:
        index = _find(function, asked)
        row = _row(btf, function, index, asked)
        found = btf.resolve(function.parameters[index].type)
        size = row.size(found)
        start = -(-end // min(size, 8)) * min(size, 8)
        name = asked.as_name or function.parameters[index].name or f"arg{index}"
        captures.append(Capture(index, row, ArgumentLayout(name, start, size, row.kind(found))))
        end = start + size
    length = -(-end // 8) * 8
    if length > ARGUMENTS_MAX:
        raise FunctionError(
            "ArgumentsTooLong", f"{request.name}: its arguments need {length} bytes of {ARGUMENTS_MAX}; record fewer strings"
        )
    kind, size = _returned(btf, function) if request.returns else (None, 0)
    layout = FunctionLayout(request.name, tuple(capture.layout for capture in captures), kind, size)
    return FunctionPlan(request, tuple(captures), layout, length, len(function.parameters))


def _is_wide(btf: Btf, number: int) -> bool:
    found = btf.resolve(number)
    return found.kind in COMPOUND or found.size > 8


def _find(function: Function, asked: ArgumentRequest) -> int:
    names = [parameter.name for parameter in function.parameters]
    if asked.index is not None:
        if asked.index < len(names):
            return asked.index
        raise FunctionError("ArgumentNotFound", f"{function.name} has {len(names)} parameters, so none of index {asked.index}")
    if asked.name and asked.name in names:
        return names.index(asked.name)
    listed = ", ".join(name or f"(index {index})" for index, name in enumerate(names)) or "none"
    raise FunctionError("ArgumentNotFound", f"{function.name} has no parameter {asked.name}; it has: {listed}")


def _row(btf: Btf, function: Function, index: int, asked: ArgumentRequest) -> ArgumentRow:
    label = f"{function.name}: argument {function.parameters[index].name or index}"
    if index >= REGISTERS:
        raise FunctionError("ArgumentUnsupported", f"{label} is number {index + 1}, and only the first {REGISTERS} can be read")
    for before in function.parameters[: index + 1]:
        if _is_wide(btf, before.type):
            where = "is" if before is function.parameters[index] else f"comes after {before.name}, which is"
            raise FunctionError(
                "ArgumentUnsupported", f"{label} {where} a {describe(btf, before.type)} by value: it is in no certain register"
            )
    row = row_for(btf, function.parameters[index].type, asked.type)
    if row is None:
        wanted = f" as {asked.type}" if asked.type else ""
        raise FunctionError(
            "ArgumentUnsupported", f"{label} is a {describe(btf, function.parameters[index].type)}, which cannot be read{wanted}"
        )
    return row


def _returned(btf: Btf, function: Function) -> tuple[str | None, int]:
    """Kind and size of the return value; a function that returns nothing has none to record."""
    if function.returns == 0:
        return None, 0
    found = btf.resolve(function.returns)
    row = row_for(btf, function.returns, None)
    if row is None:
        raise FunctionError("ReturnUnsupported", f"{function.name} returns a {describe(btf, function.returns)}, which cannot be recorded")
    if row.name == "String":
        return "pointer", 8
    return row.kind(found), row.size(found)


def _perhaps(near: list[str]) -> str:
    return f"; did you mean {' or '.join(near)}?" if near else ""
