"""What a kernel can do: yes, no with a reason, or could not tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from clew_agent.kernel.features import FEATURES, Answer, Facts, Finding, examine, lockdown_mode, read_facts

from tests.unit.btf_builder import Builder, kernel


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_real_kernels_have_everything(version: str) -> None:
    found = examine(Facts(kernel(version), "[none] integrity confidentiality\n", "1\n"))
    assert found == {feature.name: Finding(Answer.YES) for feature in FEATURES}


def test_an_old_kernel() -> None:
    found = examine(Facts(Builder().btf(), "[none] integrity", "1"))
    assert found["fentry"].answer is Answer.NO
    assert found["ring-buffer"] == Finding(Answer.NO, "the kernel does not know BPF_MAP_TYPE_RINGBUF")
    assert found["task-storage"].answer is Answer.NO


def test_what_cannot_be_read_is_not_a_no() -> None:
    found = examine(Facts())
    assert found["btf"].answer is Answer.NO
    assert {name for name, finding in found.items() if finding.answer is Answer.UNKNOWN} == {
        "fentry",
        "ring-buffer",
        "socket-storage",
        "task-storage",
        "kernel-reads",
        "user-writes",
    }
    assert all(finding.detail for finding in found.values() if finding.answer is not Answer.YES)


@pytest.mark.parametrize(
    ("text", "reads", "writes"),
    [
        ("[none] integrity confidentiality", Answer.YES, Answer.YES),
        ("none [integrity] confidentiality", Answer.YES, Answer.NO),
        ("none integrity [confidentiality]", Answer.NO, Answer.NO),
        ("", Answer.UNKNOWN, Answer.UNKNOWN),
    ],
)
def test_lockdown(text: str, reads: Answer, writes: Answer) -> None:
    found = examine(Facts(lockdown=text))
    assert (found["kernel-reads"].answer, found["user-writes"].answer) == (reads, writes)


def test_lockdown_words() -> None:
    assert lockdown_mode("none [integrity] confidentiality\n") == "integrity"
    assert lockdown_mode("nonsense") is None


def test_without_the_jit_there_is_no_fentry() -> None:
    finding = examine(Facts(kernel("6.12"), jit="0\n"))["fentry"]
    assert finding == Finding(Answer.NO, "the BPF JIT, which makes its trampolines, is off (net.core.bpf_jit_enable=0)")


@pytest.mark.parametrize(
    ("perf", "admin", "answer"), [("2", False, Answer.YES), ("3", True, Answer.YES), ("3", False, Answer.NO), ("4", False, Answer.NO)]
)
def test_who_may_use_kprobes(perf: str, admin: bool, answer: Answer) -> None:
    assert examine(Facts(perf=f"{perf}\n", admin=admin))["kprobe"].answer is answer


def test_facts_are_read_from_files(tmp_path: Path) -> None:
    lockdown, jit, perf = tmp_path / "security" / "lockdown", tmp_path / "jit", tmp_path / "perf"
    assert read_facts(None, admin=True, lockdown=lockdown, jit=jit, perf=perf) == Facts()
    lockdown.parent.mkdir()
    (lockdown.parent / "lsm").write_text("capability")
    jit.write_text("2\n")
    perf.write_text("3\n")
    assert read_facts(None, admin=False, lockdown=lockdown, jit=jit, perf=perf) == Facts(None, "[none]", "2\n", "3\n", admin=False)
    lockdown.write_text("none [integrity]\n")
    assert read_facts(None, admin=True, lockdown=lockdown, jit=jit, perf=perf).lockdown == "none [integrity]\n"
