"""The C of the kernel-function programs: an entry and an exit for each function, for BCC.

The text goes behind ``bpf/functions.h``, which has everything that does not depend on the function. A function that several
requests ask for (policies may want different arguments of it) is hooked once: its entry picks the request by the context's
policy, its exit by what the entry noted. In the generated names ``kfunc__vmlinux__F`` and ``kretfunc__vmlinux__F`` BCC finds
what to hook; kprobes are attached to the function by whoever loads the programs, in the order of :func:`attach_order`.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clew_agent.functions.layout import FunctionLayout
from clew_agent.functions.planning import Capture, FunctionPlan, Mode, plan_function
from clew_agent.functions.request import FunctionError, FunctionRequest, Problem
from clew_agent.kernel.btf import Btf
from clew_agent.kernel.symbols import Symbols, why_not

_UNKNOWN = Symbols(None, None)

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
	if ({mask} >> (context->policy & 63) & 1) {{
		frame = function_enter(context, place, {witness}, {group}, {index});
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
	if (frame->record.function == {index})
		function_emit(stack, frame, {returned}, now, {minimum}ULL, {length});
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
    """One kernel function and the programs at its entry and exit."""

    function: str
    mode: Mode
    entry: str
    exit: str


@dataclass(frozen=True, slots=True)
class Generated:
    """The programs. ``layouts`` are indexed by ``function_record.function``; ``problems`` are the requests that are not in it."""

    text: str
    layouts: tuple[FunctionLayout, ...]
    hooks: tuple[Hook, ...]
    problems: tuple[Problem, ...]


def generate(
    requests: Sequence[FunctionRequest],
    btf: Btf,
    modes: Mapping[str, Mode],
    symbols: Symbols = _UNKNOWN,
    return_trampoline: int = 0,
    no_kprobes: str = "",
) -> Generated:
    """Generate the programs of all requests; ``modes`` says how to hook each function (see ``planning.mode_for``).

    ``symbols`` tell which functions cannot be hooked (``symbols.read_symbols``). ``return_trampoline`` is
    ``symbols.read_return_trampoline()``; without it a return that a kretprobe misses is noticed late. ``no_kprobes`` says why
    kprobes cannot be used, and is empty where they can.

    A request that cannot be met becomes a problem and leaves the others alone.
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
    groups: dict[str, list[int]] = {}
    for index, plan in enumerate(plans):
        groups.setdefault(plan.request.name, []).append(index)
    room = max([plan.arguments_length for plan in plans], default=0) or 8
    parts = [_HEAD.format(arguments=room, stack=THREAD_STACK, trampoline=return_trampoline)]
    hooks = []
    for group, (name, indexes) in enumerate(groups.items()):
        dialect = _DIALECTS[modes[name]]
        hook = Hook(name, modes[name], dialect.entry.format(name), dialect.exit.format(name))
        hooks.append(hook)
        entries = [_choice(plans[index], index, group, dialect) for index in indexes]
        exits = [_emit(plans[index], index, dialect) for index in indexes]
        opening = {"place": dialect.entry_place, "unseen": dialect.unseen}
        parts.append(_ENTRY.format(program=hook.entry, context=dialect.context, choices="".join(entries), **opening))
        parts.append(
            _EXIT.format(program=hook.exit, context=dialect.context, place=dialect.exit_place, group=group, choices="".join(exits))
        )
    return Generated("".join(parts), tuple(plan.layout for plan in plans), tuple(hooks), tuple(problems))


def attach_order(hooks: Sequence[Hook]) -> list[tuple[str, Hook]]:
    """Pairs of a program's name and its hook, in the order in which to attach them.

    fexit before fentry: a call that the latter sees is then seen to its end. A kprobe before its kretprobe: of two probes at one
    place the kernel runs the younger first, and the entry looks whether the kretprobe has its trampoline in place.
    """
    fexits = [(hook.exit, hook) for hook in hooks if hook.mode is Mode.FENTRY]
    entries = [(hook.entry, hook) for hook in hooks]
    return [*fexits, *entries, *((hook.exit, hook) for hook in hooks if hook.mode is Mode.KPROBE)]


def _choice(plan: FunctionPlan, index: int, group: int, dialect: _Dialect) -> str:
    captures = "".join(f"\t\t{_capture(capture, dialect)}\n" for capture in plan.captures)
    mask = f"{plan.request.policies:#x}ULL"
    return _CHOICE.format(mask=mask, witness=dialect.witness(plan.parameters), group=group, index=index, captures=captures)


def _capture(capture: Capture, dialect: _Dialect) -> str:
    layout = capture.layout
    to, value = f"frame->arguments + {layout.offset}", dialect.argument(capture.register)
    return capture.row.capture.format(to=to, value=value, size=layout.size, bits=layout.size * 8)


def _emit(plan: FunctionPlan, index: int, dialect: _Dialect) -> str:
    returned = dialect.returned(plan.parameters) if plan.layout.return_kind else "0"
    return _EMIT.format(index=index, returned=returned, minimum=plan.request.minimum_duration_ns, length=plan.arguments_length)
