"""The C of the kernel-function programs: an entry and an exit for each function, for BCC.

The text goes behind ``bpf/functions.h``, which has everything that does not depend on the function. A function of which several
ways are wanted (policies may want different arguments of it) is hooked once: its entry picks the way by the context's policy, its
exit by what the entry noted. In the generated names ``kfunc__vmlinux__F`` and ``kretfunc__vmlinux__F`` BCC finds what to hook;
kprobes are attached to the function by whoever loads the programs.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clew_agent.functions.layout import FunctionLayout
from clew_agent.functions.planning import ARGUMENTS_MAX, Capture, FunctionPlan, Mode
from clew_agent.functions.ways import HookKey, WantedHook

THREAD_STACK = max(16384, mmap.PAGESIZE)
"""``THREAD_SIZE`` of x86-64 and arm64 kernels."""

_HEAD = """\
#define FUNCTION_ARGUMENTS {arguments}
#define THREAD_STACK {stack}
#define RETURN_TRAMPOLINE {trampoline:#x}ULL
#include "functions.h"
"""

_ENTRY = """
int {program}({context})
{{
	struct context *context = function_context();
	struct function_frame *frame;

	u64 place;

	if (!context{unseen})
		return 0;
	place = {place};
{choices}	return 0;
}}
"""

_CHOICE = """\
	if (is_wanted({number}, context)) {{
		frame = function_enter(context, place, {witness}, {group}, {number});
		if (!frame)
			return 0;
{captures}		frame->record.start_ns = bpf_ktime_get_ns();
		return 0;
	}}
"""

_EXIT = """
int {program}({context})
{{
	struct function_stack *stack = open_calls();
	struct function_frame *frame;
	u64 now;

	if (!stack)
		return 0;
	now = bpf_ktime_get_ns();
	frame = function_leave(stack, {place}, {group});
	if (!frame)
		return 0;
{choices}	return 0;
}}
"""

_EMIT = """\
	if (frame->record.function == {number})
		function_emit(stack, frame, {returned}, now, {length});
"""


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How the programs of one mode are called and find what they need."""

    entry: str
    exit: str
    context: str
    entry_place: str
    exit_place: str
    unseen: str

    def argument(self, register: int) -> str:
        return f"ctx[{register}]" if self.context.startswith("unsigned") else f"PT_REGS_PARM{register + 1}(ctx)"

    def witness(self, parameters: int) -> str:
        """The address of what stays on the stack during the call: fentry's first argument, or kprobe's return address."""
        if self.context.startswith("unsigned"):
            return "place" if parameters else "0"
        return "WITNESS_OF_ENTRY(place)"

    def returned(self, parameters: int) -> str:
        return f"ctx[{parameters}]" if self.context.startswith("unsigned") else "PT_REGS_RC(ctx)"


_TRAMPOLINE = "place_of_trampoline(ctx)"
_DIALECTS = {
    Mode.FENTRY: _Dialect("kfunc__vmlinux__{}", "kretfunc__vmlinux__{}", "unsigned long long *ctx", _TRAMPOLINE, _TRAMPOLINE, ""),
    Mode.KPROBE: _Dialect(
        "enter__{}",
        "leave__{}",
        "struct pt_regs *ctx",
        "PLACE_OF_ENTRY(ctx)",
        "PLACE_OF_RETURN(ctx)",
        " || !return_is_seen(RETURN_ADDRESS(ctx))",
    ),
}


@dataclass(frozen=True, slots=True)
class Hook:
    """One kernel function and the programs at its entry and exit. ``numbers`` are the ways' ``record.function``, ``layouts`` what
    their records hold, both in the order of the key's ways."""

    key: HookKey
    numbers: tuple[int, ...]
    layouts: tuple[FunctionLayout, ...]
    entry: str
    exit: str


@dataclass(frozen=True, slots=True)
class Generated:
    """The text, and the hooks that are in it."""

    text: str
    hooks: tuple[Hook, ...]


def generate(wanted: Sequence[WantedHook], numbers: Iterable[int], return_trampoline: int = 0) -> Generated:
    """Generate the programs of these hooks. ``numbers`` gives each way a number that no other has.

    ``return_trampoline`` is ``symbols.read_return_trampoline()``; without it a return that a kretprobe misses is noticed late.
    """
    parts = [_HEAD.format(arguments=ARGUMENTS_MAX, stack=THREAD_STACK, trampoline=return_trampoline)]
    hooks = []
    free = iter(numbers)
    for want in wanted:
        dialect = _DIALECTS[want.key.mode]
        own = tuple(next(free) for _ in want.plans)
        name = want.key.function
        hook = Hook(want.key, own, tuple(plan.layout for plan in want.plans), dialect.entry.format(name), dialect.exit.format(name))
        hooks.append(hook)
        entries = [_choice(plan, number, own[0], dialect) for plan, number in zip(want.plans, own, strict=True)]
        exits = [_emit(plan, number, dialect) for plan, number in zip(want.plans, own, strict=True)]
        opening = {"place": dialect.entry_place, "unseen": dialect.unseen}
        parts.append(_ENTRY.format(program=hook.entry, context=dialect.context, choices="".join(entries), **opening))
        closing = {"place": dialect.exit_place, "group": own[0]}
        parts.append(_EXIT.format(program=hook.exit, context=dialect.context, choices="".join(exits), **closing))
    return Generated("".join(parts), tuple(hooks))


def _choice(plan: FunctionPlan, number: int, group: int, dialect: _Dialect) -> str:
    captures = "".join(f"\t\t{_capture(capture, dialect)}\n" for capture in plan.captures)
    return _CHOICE.format(witness=dialect.witness(plan.parameters), group=group, number=number, captures=captures)


def _capture(capture: Capture, dialect: _Dialect) -> str:
    layout = capture.layout
    to, value = f"frame->arguments + {layout.offset}", dialect.argument(capture.register)
    return capture.row.capture.format(to=to, value=value, size=layout.size, bits=layout.size * 8)


def _emit(plan: FunctionPlan, number: int, dialect: _Dialect) -> str:
    returned = dialect.returned(plan.parameters) if plan.layout.return_kind else "0"
    return _EMIT.format(number=number, returned=returned, length=plan.arguments_length)
