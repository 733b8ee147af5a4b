"""Which hooks record, which go, and when: the kernel and the compiler are played, all else is real.

`Kernel` plays the maps and descriptors of hooks, `Compiler` the loader's child, which a test lets end when it wants.
"""

import struct
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import pytest
from clew_agent.function_hooks import FunctionHooks, Requests
from clew_agent.function_programs import Built
from clew_agent.functions.codegen import generate
from clew_agent.functions.planning import Mode, plan_requests
from clew_agent.functions.request import ArgumentRequest, FunctionRequest
from clew_agent.functions.ways import HookKey, wanted_hooks
from clew_agent.kernel.symbols import Symbols
from clew_agent.loader.load import LoadError, Programs
from clew_agent.program import FUNCTION_MAPS, PATH_HOOKS

from tests.unit.btf_builder import kernel as btf_of

READ = FunctionRequest("vfs_read", policies=1)
READ_MORE = FunctionRequest("vfs_read", (ArgumentRequest("count"),), policies=1)
WRITE = FunctionRequest("vfs_write", policies=1)
SEND = FunctionRequest("tcp_sendmsg", policies=1)


@dataclass
class FakeKernel:
    """The settings by number, how many calls are open, and which descriptors are."""

    settings: dict[int, tuple[int, int]] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)
    open: dict[int, str] = field(default_factory=dict)
    now: float = 0.0

    def descriptor(self, name: str) -> int:
        number = 1000 + len(self.open)
        while number in self.open:
            number += 1
        self.open[number] = name
        return number

    def close_all(self, descriptors: Iterable[int]) -> None:
        for descriptor in descriptors:
            del self.open[descriptor]

    def update(self, descriptor: int, key: bytes, value: bytes) -> None:
        assert self.open[descriptor] == "function_settings"
        self.settings[struct.unpack("=I", key)[0]] = struct.unpack("=QQ", value)

    def recording(self) -> set[int]:
        return {number for number, (policies, _) in self.settings.items() if policies}

    def attached(self) -> list[str]:
        return sorted(name for name in self.open.values() if name.startswith("link "))


@dataclass
class Compiler:
    """Builds in no time, while `go` is set; `error` is what it fails with, `builds` what it has built."""

    fake: FakeKernel
    go: threading.Event = field(default_factory=threading.Event)
    error: list[Exception] = field(default_factory=list)
    builds: list[list[str]] = field(default_factory=list)

    def build(
        self, requests: Iterable[FunctionRequest], there: Collection[HookKey], numbers: Iterable[int], maps: Mapping[str, int]
    ) -> Built:
        assert self.go.wait(30)
        if self.error:
            raise self.error[0]
        asked = tuple(requests)
        modes = {request.name: Mode.KPROBE if request.name in PATH_HOOKS else Mode.FENTRY for request in asked}
        plans, problems = plan_requests(asked, btf_of("6.12"), modes, Symbols(None, None), "")
        wanted = wanted_hooks(plans, modes)
        lacking = [want for want in wanted if want.key not in there]
        self.builds.append([want.key.function for want in lacking])
        if not lacking:
            return Built(wanted, problems, (), None)
        hooks = generate(lacking, numbers).hooks
        names = [name for hook in hooks for name in (hook.entry, hook.exit)]
        made = Programs(
            {name: self.fake.descriptor(name) for name in FUNCTION_MAPS if name not in maps},
            {name: self.fake.descriptor(f"program {name}") for name in names},
            {name: self.fake.descriptor(f"link {name}") for name in names},
        )
        return Built(wanted, problems, hooks, made)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    fake = FakeKernel()
    monkeypatch.setattr("clew_agent.loader.syscalls.update", fake.update)
    monkeypatch.setattr("clew_agent.loader.syscalls.lookup_per_cpu", lambda _map, number, _kind: (fake.calls.get(number, 0), 1, -1))
    monkeypatch.setattr("clew_agent.loader.syscalls.program_info", lambda _program: {"recursion_misses": 3})
    monkeypatch.setattr("clew_agent.function_hooks.time.monotonic", lambda: fake.now)
    for module in ("clew_agent.function_hooks", "clew_agent.loader.load"):
        monkeypatch.setattr(f"{module}.close_all", fake.close_all)
    return fake


@pytest.fixture
def compiler(fake: FakeKernel) -> Compiler:
    compiler = Compiler(fake)
    compiler.go.set()
    return compiler


@pytest.fixture
def hooks(compiler: Compiler) -> FunctionHooks:
    return FunctionHooks(compiler.build, {})


def await_built(hooks: FunctionHooks, requests: Requests) -> None:
    """Wait until these can be put in force. Raises what the build failed with."""
    while not hooks.prepare(requests):
        for thread in threading.enumerate():
            if thread.name == "clew-build":
                thread.join(30)


def put_in_force(hooks: FunctionHooks, *requests: FunctionRequest) -> None:
    await_built(hooks, requests)
    hooks.switch(requests)


def names(hooks: FunctionHooks) -> dict[int, str]:
    return {number: layout.name for number, layout in hooks.layouts.items()}


def test_nothing_asked_is_in_force_at_once(hooks: FunctionHooks) -> None:
    assert hooks.prepare(()) is True
    hooks.switch(())
    assert (len(hooks), names(hooks)) == (0, {})


def test_nothing_is_recorded_before_the_switch(hooks: FunctionHooks, compiler: Compiler, fake: FakeKernel) -> None:
    compiler.go.clear()
    assert hooks.prepare((READ,)) is False
    compiler.go.set()
    await_built(hooks, (READ,))
    assert (fake.recording(), len(hooks)) == (set(), 0)
    hooks.switch((READ,))
    assert (fake.settings, len(hooks), names(hooks)) == ({0: (1, 0)}, 1, {0: "vfs_read"})


def test_what_stays_is_not_touched(hooks: FunctionHooks, compiler: Compiler, fake: FakeKernel) -> None:
    put_in_force(hooks, READ, SEND)
    before = dict(fake.open)
    put_in_force(hooks, READ, SEND, WRITE)
    assert compiler.builds == [["vfs_read", "tcp_sendmsg"], ["vfs_write"]]
    assert before.items() <= fake.open.items()
    assert names(hooks) == {0: "vfs_read", 1: "tcp_sendmsg", 2: "vfs_write"}


def test_settings_alone_need_no_program(hooks: FunctionHooks, compiler: Compiler, fake: FakeKernel) -> None:
    put_in_force(hooks, READ)
    put_in_force(hooks, FunctionRequest("vfs_read", minimum_duration_ns=50, policies=6))
    assert compiler.builds == [["vfs_read"], []]
    assert fake.settings == {0: (6, 50)}


def test_a_hook_goes_when_its_calls_have_ended(hooks: FunctionHooks, fake: FakeKernel) -> None:
    put_in_force(hooks, READ, WRITE)
    fake.calls[0] = 1
    put_in_force(hooks, WRITE)
    assert fake.recording() == {1}
    fake.now = 20
    hooks.tend()
    assert (len(fake.attached()), names(hooks)) == (4, {0: "vfs_read", 1: "vfs_write"})
    fake.calls[0] = 0
    hooks.tend()
    # Its last records may still be in the ring.
    assert (len(fake.attached()), names(hooks)) == (2, {0: "vfs_read", 1: "vfs_write"})
    hooks.tend()
    assert names(hooks) == {1: "vfs_write"}
    assert hooks.counts() == {"program_runs_missed": 12, "function_calls_cut": 0}


def test_calls_that_are_just_beginning_are_waited_for(hooks: FunctionHooks, fake: FakeKernel) -> None:
    put_in_force(hooks, READ)
    put_in_force(hooks)
    fake.now = 0.9
    hooks.tend()
    assert len(fake.attached()) == 2
    fake.now = 1
    hooks.tend()
    assert fake.attached() == []


def test_calls_that_last_too_long_are_cut_and_counted(hooks: FunctionHooks, fake: FakeKernel) -> None:
    put_in_force(hooks, READ)
    fake.calls[0] = 2
    put_in_force(hooks)
    fake.now = 31
    hooks.tend()
    assert (fake.attached(), hooks.counts()["function_calls_cut"]) == ([], 2)


def test_a_function_recorded_in_another_way_by_fentry_leaves_its_trampoline_at_once(hooks: FunctionHooks, fake: FakeKernel) -> None:
    put_in_force(hooks, READ)
    fake.calls[0] = 1
    put_in_force(hooks, READ_MORE)
    assert (len(fake.attached()), fake.recording(), hooks.counts()["function_calls_cut"]) == (2, {1}, 1)


def test_and_by_kprobe_when_its_calls_have_ended(hooks: FunctionHooks, fake: FakeKernel) -> None:
    put_in_force(hooks, SEND)
    put_in_force(hooks, FunctionRequest("tcp_sendmsg", (ArgumentRequest("size"),), policies=1))
    assert (len(fake.attached()), fake.recording()) == (4, {1})


def test_back_to_a_hook_that_is_going(hooks: FunctionHooks, compiler: Compiler, fake: FakeKernel) -> None:
    put_in_force(hooks, READ)
    put_in_force(hooks, WRITE)
    put_in_force(hooks, READ)
    assert (compiler.builds[-1], fake.recording()) == ([], {0})
    fake.now = 100
    hooks.tend()
    assert fake.attached() == ["link kfunc__vmlinux__vfs_read", "link kretfunc__vmlinux__vfs_read"]


def test_a_build_that_fails_leaves_what_is_in_force(hooks: FunctionHooks, compiler: Compiler, fake: FakeKernel) -> None:
    put_in_force(hooks, READ)
    compiler.error.append(LoadError("clang says no"))
    for _ in range(2):
        with pytest.raises(LoadError, match="clang says no"):
            await_built(hooks, (WRITE,))
    hooks.switch((WRITE,))
    assert (fake.recording(), len(hooks)) == ({0}, 1)
    assert hooks.prepare((READ,)) is True
    compiler.error.clear()
    put_in_force(hooks, WRITE)
    assert fake.recording() == {1}


def test_any_other_error_of_a_build_is_one_too(hooks: FunctionHooks, compiler: Compiler) -> None:
    compiler.error.append(ValueError("BTF is bent"))
    with pytest.raises(LoadError, match="the programs could not be built: BTF is bent"):
        await_built(hooks, (READ,))


def test_what_was_built_and_is_wanted_no_more_is_let_go(hooks: FunctionHooks, compiler: Compiler, fake: FakeKernel) -> None:
    put_in_force(hooks, READ)
    compiler.go.clear()
    assert hooks.prepare((WRITE,)) is False
    # The policy is put back while its programs are being built: what is in force stays so.
    assert hooks.prepare((READ,)) is True
    hooks.switch((READ,))
    compiler.go.set()
    put_in_force(hooks, SEND)
    assert fake.attached() == [
        "link enter__tcp_sendmsg",
        "link kfunc__vmlinux__vfs_read",
        "link kretfunc__vmlinux__vfs_read",
        "link leave__tcp_sendmsg",
    ]
    assert fake.recording() == {1}


def test_everything_is_let_go_at_the_end(hooks: FunctionHooks, fake: FakeKernel) -> None:
    put_in_force(hooks, READ, SEND)
    fake.calls[0] = 4
    hooks.detach()
    assert (fake.attached(), hooks.counts()) == ([], {"program_runs_missed": 12, "function_calls_cut": 0})
    hooks.close()
    assert fake.open == {}


def test_problems_are_those_of_the_list_in_force(hooks: FunctionHooks) -> None:
    put_in_force(hooks, READ, FunctionRequest("vfs_raed", policies=2))
    assert [(problem.reason, problem.policies) for problem in hooks.problems] == [("FunctionNotFound", 2)]
    put_in_force(hooks, READ)
    assert hooks.problems == ()
