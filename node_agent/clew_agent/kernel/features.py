"""What the running kernel can do, by asking it: each feature is a name, the version it came with, and a probe.

A probe has three answers: yes, no (and why), and "could not tell" (the file is not readable here), which callers treat as they
must: try it, or stay safe. Versions are for messages only; distributions carry features back, so no probe compares them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clew_agent.kernel.btf import Btf, Kind

LOCKDOWN = Path("/sys/kernel/security/lockdown")
JIT = Path("/proc/sys/net/core/bpf_jit_enable")
PERF = Path("/proc/sys/kernel/perf_event_paranoid")
_PERF_ADMIN_ONLY = 3


class Answer(enum.Enum):
    """What a probe found."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "could not tell"


@dataclass(frozen=True, slots=True)
class Facts:
    """What probes look at; None is what could not be read."""

    btf: Btf | None = None
    lockdown: str | None = None
    jit: str | None = None
    perf: str | None = None
    admin: bool = True
    """Whether the process has CAP_SYS_ADMIN."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A feature's answer. ``detail`` is a sentence for people; it is empty for a plain yes."""

    answer: Answer
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that a kernel may be able to do; ``since`` is the upstream version that brought it."""

    name: str
    since: str
    probe: Callable[[Facts], Finding]


def _has_constant(constant: str) -> Callable[[Facts], Finding]:
    def probe(facts: Facts) -> Finding:
        if facts.btf is None:
            return Finding(Answer.UNKNOWN, f"the kernel's BTF, which would show {constant}, cannot be read")
        if any(facts.btf.enums_with(frozenset({constant}))):
            return Finding(Answer.YES)
        return Finding(Answer.NO, f"the kernel does not know {constant}")

    return probe


def _btf(facts: Facts) -> Finding:
    if facts.btf is None:
        return Finding(Answer.NO, "the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF)")
    return Finding(Answer.YES)


def _fentry(facts: Facts) -> Finding:
    if facts.btf is None:
        return Finding(Answer.UNKNOWN, "the kernel's BTF, which fentry needs, cannot be read")
    if facts.jit is not None and facts.jit.strip() == "0":
        return Finding(Answer.NO, "the BPF JIT, which makes its trampolines, is off (net.core.bpf_jit_enable=0)")
    if facts.btf.find("register_ftrace_direct", Kind.FUNC) is None:
        return Finding(Answer.NO, "the kernel cannot call a trampoline from a function's entry (DYNAMIC_FTRACE_WITH_DIRECT_CALLS)")
    return Finding(Answer.YES)


def _kprobe(facts: Facts) -> Finding:
    """Upstream asks for CAP_PERFMON. The kernels of Debian, Ubuntu and Android have a level 3 that leaves it to CAP_SYS_ADMIN."""
    if not facts.admin and facts.perf is not None and int(facts.perf) >= _PERF_ADMIN_ONLY:
        return Finding(Answer.NO, f"kernel.perf_event_paranoid={int(facts.perf)} leaves kprobes to processes with CAP_SYS_ADMIN")
    return Finding(Answer.YES)


def lockdown_mode(text: str) -> str | None:
    """The chosen mode in ``/sys/kernel/security/lockdown``: the word in brackets."""
    return next((word.strip("[]") for word in text.split() if word.startswith("[")), None)


def _user_writes(facts: Facts) -> Finding:
    mode = lockdown_mode(facts.lockdown) if facts.lockdown else None
    if mode is None:
        return Finding(Answer.UNKNOWN, f"{LOCKDOWN} cannot be read, so the kernel may be locked down")
    if mode == "none":
        return Finding(Answer.YES)
    return Finding(Answer.NO, f"the kernel is locked down ({mode}), which forbids bpf_probe_write_user")


def _kernel_reads(facts: Facts) -> Finding:
    mode = lockdown_mode(facts.lockdown) if facts.lockdown else None
    if mode == "confidentiality":
        return Finding(Answer.NO, "the kernel is locked down (confidentiality), which forbids BPF to read kernel memory")
    if mode is None:
        return Finding(Answer.UNKNOWN, f"{LOCKDOWN} cannot be read, so the kernel may be locked down")
    return Finding(Answer.YES)


FEATURES: tuple[Feature, ...] = (
    Feature("btf", "5.2", _btf),
    Feature("fentry", "5.5", _fentry),
    Feature("kprobe", "4.17", _kprobe),
    Feature("ring-buffer", "5.8", _has_constant("BPF_MAP_TYPE_RINGBUF")),
    Feature("socket-storage", "5.2", _has_constant("BPF_MAP_TYPE_SK_STORAGE")),
    Feature("task-storage", "5.11", _has_constant("BPF_MAP_TYPE_TASK_STORAGE")),
    Feature("kernel-reads", "5.4", _kernel_reads),
    Feature("user-writes", "5.4", _user_writes),
)


def examine(facts: Facts) -> dict[str, Finding]:
    """The findings of all features, by name."""
    return {feature.name: feature.probe(facts) for feature in FEATURES}


def read_facts(btf: Btf | None, *, admin: bool, lockdown: Path = LOCKDOWN, jit: Path = JIT, perf: Path = PERF) -> Facts:
    """Read what the probes look at. A kernel without lockdown support has no such file but a readable folder: mode none."""
    text = _read(lockdown)
    if text is None and lockdown.parent.is_dir() and any(lockdown.parent.iterdir()):
        text = "[none]"
    return Facts(btf, text, _read(jit), _read(perf), admin)


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
