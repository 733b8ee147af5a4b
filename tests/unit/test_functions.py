"""From a policy's functions and the kernel's BTF to layouts, hooks and C; and the message for what cannot be."""

from __future__ import annotations

import re

import pytest
from clew_agent.functions.arguments import ROWS, row_for
from clew_agent.functions.codegen import Generated, Hook, generate
from clew_agent.functions.layout import ArgumentLayout, FunctionLayout
from clew_agent.functions.planning import Mode, fentry_unfit, mode_for, plan_function, plan_requests
from clew_agent.functions.request import ArgumentRequest, FunctionError, FunctionRequest, Problem
from clew_agent.functions.ways import HookKey, Setting, WantedHook, Way, wanted_hooks
from clew_agent.kernel.btf import Btf, Kind
from clew_agent.kernel.symbols import Symbols

from tests.unit.btf_builder import Builder, kernel

ALL = (1 << 64) - 1
UNKNOWN = Symbols(None, None)
HEAD = '#define FUNCTION_ARGUMENTS 368\n#define THREAD_STACK 16384\n#define RETURN_TRAMPOLINE 0x0ULL\n#include "functions.h"\n'


def want(*requests: FunctionRequest, mode: Mode = Mode.FENTRY, btf: Btf | None = None) -> tuple[WantedHook, ...]:
    modes = {request.name: mode for request in requests}
    plans, problems = plan_requests(requests, btf or kernel("6.12"), modes, UNKNOWN, "")
    assert problems == ()
    return wanted_hooks(plans, modes)


def build(*requests: FunctionRequest, mode: Mode = Mode.FENTRY, btf: Btf | None = None) -> Generated:
    return generate(want(*requests, mode=mode, btf=btf), range(4096))


def plan(
    *names: str, modes: dict[str, Mode] | None = None, symbols: Symbols = UNKNOWN, no_kprobes: str = ""
) -> tuple[list[str], list[tuple[str, str, str]]]:
    """The functions that can be recorded, and what is wrong with the others."""
    plans, problems = plan_requests([FunctionRequest(name) for name in names], kernel("6.12"), modes or {}, symbols, no_kprobes)
    return [plan.request.name for plan in plans], [(problem.function, problem.reason, problem.message) for problem in problems]


def arguments(*names: str) -> tuple[ArgumentRequest, ...]:
    return tuple(ArgumentRequest(name) for name in names)


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_layout_of_a_real_function(version: str) -> None:
    asked = (
        ArgumentRequest("size"),
        ArgumentRequest(index=0, as_name="socket"),
        ArgumentRequest("msg", type="Integer"),
    )
    plan = plan_function(kernel(version), FunctionRequest("tcp_sendmsg", asked, returns=True))
    assert plan.layout == FunctionLayout(
        "tcp_sendmsg",
        (ArgumentLayout("size", 0, 8, "unsigned"), ArgumentLayout("socket", 8, 8, "pointer"), ArgumentLayout("msg", 16, 8, "unsigned")),
        "signed",
        4,
    )
    assert (plan.arguments_length, plan.parameters, [capture.register for capture in plan.captures]) == (24, 3, [2, 0, 1])


def test_arguments_are_aligned() -> None:
    asked = (ArgumentRequest("dfd"), ArgumentRequest("filename", as_name="path", type="UserString"), ArgumentRequest("how"))
    plan = plan_function(kernel("6.12"), FunctionRequest("do_sys_openat2", asked))
    assert plan.layout.arguments == (
        ArgumentLayout("dfd", 0, 4, "signed"),
        ArgumentLayout("path", 8, 128, "string"),
        ArgumentLayout("how", 136, 8, "pointer"),
    )
    assert (plan.arguments_length, plan.layout.return_kind, plan.layout.return_size) == (144, None, 0)


def kinds() -> Builder:
    make = Builder()
    for size, name in ((1, "unsigned char"), (2, "short unsigned int"), (4, "unsigned int"), (8, "long unsigned int")):
        make.integer(name, size)
    for size, name in ((1, "signed char"), (2, "short int"), (4, "int"), (8, "long int")):
        make.integer(name, size, signed=True)
    make.integer("_Bool", 1, boolean=True)
    make.integer("__int128", 16, signed=True)
    make.enum("plain", 4, ("A", 1))
    make.enum("minus", 4, ("B", -1), signed=True)
    make.enum("old_minus", 4, ("C", -1))
    make.enum64("wide", ("D", 1 << 40))
    char = make.integer("char", 1, signed=True)
    make.pointer(make.add(Kind.CONST, "", char))
    make.pointer(0)
    make.compound("pair", 8, ("a", 3, 0), ("b", 3, 32))
    make.pointer(make.pointer(char))
    return make


@pytest.mark.parametrize(
    ("number", "row", "size", "kind"),
    [
        (1, "Integer", 1, "unsigned"),
        (2, "Integer", 2, "unsigned"),
        (3, "Integer", 4, "unsigned"),
        (4, "Integer", 8, "unsigned"),
        (5, "Integer", 1, "signed"),
        (6, "Integer", 2, "signed"),
        (7, "Integer", 4, "signed"),
        (8, "Integer", 8, "signed"),
        (9, "Boolean", 1, "bool"),
        (11, "Integer", 4, "unsigned"),
        (12, "Integer", 4, "signed"),
        (13, "Integer", 4, "signed"),
        (14, "Integer", 8, "unsigned"),
        (17, "String", 128, "string"),
        (18, "Pointer", 8, "pointer"),
        (21, "Pointer", 8, "pointer"),
    ],
)
def test_every_row(number: int, row: str, size: int, kind: str) -> None:
    btf = kinds().btf()
    found = row_for(btf, number, None)
    assert found is not None
    resolved = btf.resolve(number)
    assert (found.name, found.size(resolved), found.kind(resolved)) == (row, size, kind)


@pytest.mark.parametrize("number", [10, 19])
def test_types_without_a_row(number: int) -> None:
    assert row_for(kinds().btf(), number, None) is None


def test_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("request_", "reason", "message"),
    [
        (
            FunctionRequest("tcp_sendmesg"),
            "FunctionNotFound",
            "this kernel has no function tcp_sendmesg; did you mean tcp_sendmsg or mptcp_sendmsg or tcp_send_mss?",
        ),
        (FunctionRequest("zzz"), "FunctionNotFound", "this kernel has no function zzz"),
        (
            FunctionRequest("tcp_sendmsg", arguments("length")),
            "ArgumentNotFound",
            "tcp_sendmsg has no parameter length; it has: sk, msg, size",
        ),
        (
            FunctionRequest("tcp_sendmsg", (ArgumentRequest(index=3),)),
            "ArgumentNotFound",
            "tcp_sendmsg has 3 parameters, so none of index 3",
        ),
        (
            FunctionRequest("tcp_sendmsg", (ArgumentRequest("size", type="String"),)),
            "ArgumentUnsupported",
            "tcp_sendmsg: argument size is a size_t, which cannot be read as String",
        ),
        (
            FunctionRequest("from_kgid", arguments("kgid")),
            "ArgumentUnsupported",
            "from_kgid: argument kgid is a kgid_t by value: it is in no certain register",
        ),
        (
            FunctionRequest("do_ip_setsockopt", arguments("optlen")),
            "ArgumentUnsupported",
            "do_ip_setsockopt: argument optlen comes after optval, which is a sockptr_t by value: it is in no certain register",
        ),
        (
            FunctionRequest("__ip_append_data", (ArgumentRequest(index=7),)),
            "ArgumentUnsupported",
            "__ip_append_data: argument length is number 8, and only the first 6 can be read",
        ),
        (FunctionRequest("make_kuid", returns=True), "ReturnUnsupported", "make_kuid returns a kuid_t, which cannot be recorded"),
    ],
)
def test_what_cannot_be(request_: FunctionRequest, reason: str, message: str) -> None:
    with pytest.raises(FunctionError) as raised:
        plan_function(kernel("6.12"), request_)
    assert (raised.value.reason, str(raised.value)) == (reason, message)


def test_too_many_strings() -> None:
    asked = tuple(ArgumentRequest(index=0, as_name=f"s{number}", type="String") for number in range(5))
    with pytest.raises(FunctionError, match="its arguments need 640 bytes of 368"):
        plan_function(kernel("6.12"), FunctionRequest("kern_path", asked))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("tcp_sendmsg", None),
        ("kasprintf", "it takes a variable number of arguments"),
        ("__ip_append_data", "it has 10 parameters, and fentry takes 6"),
        ("from_kgid", "it takes a structure by value"),
        ("make_kuid", "it returns a structure by value"),
    ],
)
def test_what_fentry_takes(name: str, why: str | None) -> None:
    btf = kernel("6.12")
    function = btf.function(name)
    assert function is not None
    assert fentry_unfit(btf, function) == why
    assert mode_for(btf, name, fentry=True) is (Mode.KPROBE if why else Mode.FENTRY)
    assert mode_for(btf, name, fentry=False) is Mode.KPROBE


def test_a_void_function_returns_nothing() -> None:
    generated = build(FunctionRequest("tcp_close", returns=True))
    assert generated.hooks[0].layouts == (FunctionLayout("tcp_close", (), None, 0),)
    assert "function_emit(stack, frame, 0, now, 0);" in generated.text


def test_fentry_programs() -> None:
    generated = build(FunctionRequest("tcp_sendmsg", arguments("size"), returns=True, minimum_duration_ns=50_000, policies=5))
    key = HookKey("tcp_sendmsg", Mode.FENTRY, (Way(arguments("size"), True),))
    layout = FunctionLayout("tcp_sendmsg", (ArgumentLayout("size", 0, 8, "unsigned"),), "signed", 4)
    assert generated.hooks == (Hook(key, (0,), (layout,), "kfunc__vmlinux__tcp_sendmsg", "kretfunc__vmlinux__tcp_sendmsg"),)
    assert generated.text.startswith(HEAD)
    assert re.findall(r"^int \w+\(.*\)$", generated.text, re.MULTILINE) == [
        "int kfunc__vmlinux__tcp_sendmsg(unsigned long long *ctx)",
        "int kretfunc__vmlinux__tcp_sendmsg(unsigned long long *ctx)",
    ]
    assert "if (is_wanted(0, context)) {" in generated.text
    assert "*(u64 *)(frame->arguments + 0) = (u64)(ctx[2]);" in generated.text
    assert "function_emit(stack, frame, ctx[3], now, 8);" in generated.text


def test_kprobe_programs() -> None:
    generated = build(FunctionRequest("kern_path", arguments("name", "flags"), returns=True), mode=Mode.KPROBE)
    assert [(hook.key.mode, hook.entry, hook.exit) for hook in generated.hooks] == [(Mode.KPROBE, "enter__kern_path", "leave__kern_path")]
    assert (
        "*(frame->arguments + 0) = 0; bpf_probe_read_kernel_str(frame->arguments + 0, 128, (void *)(PT_REGS_PARM1(ctx)));" in generated.text
    )
    assert "*(u32 *)(frame->arguments + 128) = (u32)(PT_REGS_PARM2(ctx));" in generated.text
    assert "function_emit(stack, frame, PT_REGS_RC(ctx), now, 136);" in generated.text
    assert "if (!context || !return_is_seen(RETURN_ADDRESS(ctx)))" in generated.text
    assert "function_enter(context, place, WITNESS_OF_ENTRY(place), 0, 0)" in generated.text
    assert "place_of_trampoline" not in generated.text


def test_a_function_without_parameters_has_no_witness() -> None:
    make = kinds()
    make.function("idle", 7)
    assert "function_enter(context, place, 0, 0, 0)" in build(FunctionRequest("idle"), btf=make.btf()).text


def test_a_function_that_two_policies_want_is_hooked_once() -> None:
    """Its ways have numbers of their own; the first is also that of the function."""
    wanted = want(
        FunctionRequest("tcp_sendmsg", arguments("size"), policies=1),
        FunctionRequest("vfs_read", policies=2),
        FunctionRequest("tcp_sendmsg", returns=True, policies=2),
    )
    generated = generate(wanted, iter([7, 9, 4]))
    assert [(hook.key.function, hook.numbers) for hook in generated.hooks] == [("tcp_sendmsg", (7, 9)), ("vfs_read", (4,))]
    assert [layout.return_kind for layout in generated.hooks[0].layouts] == ["signed", None]
    assert re.findall(r"function_enter\(context, place, place, (\d), (\d)\)", generated.text) == [("7", "7"), ("7", "9"), ("4", "4")]
    assert generated.text.count("if (frame->record.function == 9)") == 1


def test_of_the_requests_for_a_policy_the_first_counts() -> None:
    (hook,) = want(
        FunctionRequest("vfs_read", arguments("count"), policies=0b011),
        FunctionRequest("vfs_read", returns=True, policies=0b110),
        FunctionRequest("vfs_read", arguments("count"), policies=0b1100),
    )
    assert dict(zip(hook.key.ways, hook.settings, strict=True)) == {
        Way(arguments("count"), False): Setting(0b1011, 0),
        Way((), True): Setting(0b0100, 0),
    }


def test_what_a_hook_depends_on() -> None:
    """Neither whom it is for nor how long calls must take: these are a map's values. Nor the order of the policies."""
    one = FunctionRequest("vfs_read", arguments("count"), policies=1)
    other = FunctionRequest("vfs_read", returns=True, minimum_duration_ns=5, policies=2)
    (hook,) = want(one, other)
    swapped = (
        FunctionRequest("vfs_read", returns=True, policies=4),
        FunctionRequest("vfs_read", arguments("count"), minimum_duration_ns=9, policies=8),
    )
    assert [again.key for again in want(*swapped)] == [hook.key]
    assert [again.key == hook.key for again in want(one)] == [False]


def test_the_same_way_with_two_durations_is_two() -> None:
    short = FunctionRequest("vfs_read", minimum_duration_ns=5, policies=1)
    (hook,) = want(short, FunctionRequest("vfs_read", minimum_duration_ns=50, policies=2))
    assert (hook.key.ways, hook.settings) == ((Way((), False), Way((), False)), (Setting(1, 5), Setting(2, 50)))
    assert len(hook.plans) == 2


def test_a_request_whose_policies_all_have_another_is_none() -> None:
    (hook,) = want(FunctionRequest("vfs_read", policies=3), FunctionRequest("vfs_read", returns=True, policies=2))
    assert hook.key.ways == (Way((), False),)


def test_a_bad_request_leaves_the_others_alone() -> None:
    plans, problems = plan_requests(
        [FunctionRequest("tcp_sendmesg", policies=4), FunctionRequest("vfs_read")], kernel("6.12"), {}, UNKNOWN, ""
    )
    assert [plan.request.name for plan in plans] == ["vfs_read"]
    assert [(problem.function, problem.reason, problem.policies) for problem in problems] == [("tcp_sendmesg", "FunctionNotFound", 4)]


def test_what_cannot_be_hooked_is_a_problem() -> None:
    symbols = Symbols(frozenset({"vfs_read"}), {"vfs_read": ("",), "tcp_sendmsg": ("", "")})
    planned, problems = plan("tcp_sendmsg", "vfs_read", "vfs_write", symbols=symbols)
    assert planned == ["vfs_read"]
    assert [problem[:2] for problem in problems] == [("tcp_sendmsg", "FunctionNotTraceable"), ("vfs_write", "FunctionNotTraceable")]


def test_a_function_for_which_there_is_only_a_kprobe_that_is_refused() -> None:
    modes = {"vfs_read": Mode.KPROBE, "tcp_sendmsg": Mode.FENTRY}
    planned, problems = plan(*modes, modes=modes, no_kprobes="the kernel says no")
    assert planned == ["tcp_sendmsg"]
    assert problems == [("vfs_read", "KprobesRefused", "vfs_read can be recorded by kprobe alone, and the kernel says no")]


def test_nothing_asked() -> None:
    assert build() == Generated(HEAD, ())


def test_the_message_of_a_problem_is_the_errors() -> None:
    _, problems = plan_requests([FunctionRequest("zzz")], kernel("6.12"), {}, UNKNOWN, "")
    assert problems == (Problem("zzz", "FunctionNotFound", "this kernel has no function zzz", ALL),)
