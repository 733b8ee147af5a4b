"""What a user is told who cannot be helped otherwise."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kernel.rig import MISSPELT, Rig

pytestmark = pytest.mark.limit(600)

POLICY = """\
apiVersion: clew.dev/v1alpha1
kind: TracingPolicy
metadata: {name: wrong}
spec: {namespaces: [shop], sampling: {ratio: RATIO}}
"""


def refusal(folder: Path, *options: str, ratio: str = '"1"', under: Sequence[str] = ()) -> str:
    """What an agent says that does not start."""
    policy, pods = folder / "policy.yaml", folder / "pods.json"
    policy.write_text(POLICY.replace("RATIO", ratio))
    pods.write_text('{"pods": []}')
    argv = [*under, sys.executable, "-m", "clew_agent.main", "run", "--policy", str(policy), "--pods", str(pods), *options]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
    assert (ended.returncode, ended.stdout) == (1, ""), ended.stderr
    return ended.stderr


def without(*capabilities: str) -> list[str]:
    """How to run a command as root without these capabilities."""
    return ["setpriv", "--bounding-set", ",".join(f"-{name}" for name in capabilities), "--"]


def test_policy_that_is_wrong(tmp_path: Path) -> None:
    said = refusal(tmp_path, ratio='"2"')
    assert "spec.sampling.ratio" in said
    assert '"2"' in said or "'2'" in said


def test_capabilities_that_are_missing(tmp_path: Path) -> None:
    """All that are missing are named, and no other (each by itself: tests/unit/test_capabilities.py)."""
    said = refusal(tmp_path, "--state", str(tmp_path), under=without("bpf", "net_admin"))
    assert [line.split()[0] for line in said.splitlines() if line.startswith("  CAP_")] == ["CAP_BPF", "CAP_NET_ADMIN"]


def test_kernel_without_btf(tmp_path: Path) -> None:
    said = refusal(tmp_path, "--state", str(tmp_path), "--btf", "/nonexistent")
    assert said.startswith("clew-agent: ")
    assert "/nonexistent" in said
    assert "BTF" in said


def test_second_agent(rig: Rig, tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"clew-agent: another agent runs on this node (process {rig.agent.pid}); there can be only one\n"


def test_function_that_is_not_there(rig: Rig) -> None:
    line = rig.await_said(f"this kernel has no function {MISSPELT}")
    assert "FunctionNotFound" in line
    assert "did you mean do_sys_openat2" in line
    assert os.path.exists(f"/proc/{rig.agent.pid}")
