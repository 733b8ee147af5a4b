"""The lab compiles for its guests where the host can; where it cannot, it says so, and guests do it. What it compiles: tests/kernel."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from clew_lab import bpf_programs
from clew_lab.image import Image, recipe_key

IMAGE = Image(Path("/no/image"), {"6.1": "6.1.0-50-amd64", "6.12": "6.12.107+deb13-amd64"})


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the lab runs in the root file system, in whose place stands a function that fails: a host may refuse BPF's maps."""
    found: list[tuple[str, ...]] = []

    def refuse(root: Path, *argv: str, mounts: dict[Path, str]) -> str:
        found.append((str(root), *argv))
        raise subprocess.CalledProcessError(1, argv)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(bpf_programs, "run_in", refuse)
    (tmp_path / "clew/lab/types" / recipe_key()).mkdir(parents=True)
    return found


def test_a_host_that_cannot_says_so_and_leaves_it_to_guests(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    bpf_programs.provide(IMAGE)
    assert [command[-4:] for command in asked] == [
        ("clew_lab.bpf_programs_inside", "/share", "/mnt/6.1.0-50-amd64", "/mnt/6.12.107+deb13-amd64")
    ]
    assert capsys.readouterr().err == "clew-lab: agents will compile in guests, since this host cannot (status 1)\n"


def test_it_takes_root(asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    bpf_programs.provide(IMAGE)
    assert asked == []
    assert capsys.readouterr().err == ""


def test_types_of_other_images_are_cleaned(tmp_path: Path, asked: list[tuple[str, ...]]) -> None:
    other = tmp_path / "clew/lab/types/0123456789abcdef"
    other.mkdir()
    assert bpf_programs.TYPES.clean() == [f"removed {other}"]
    assert bpf_programs.TYPES.clean(everything=True) == [f"removed {other.with_name(recipe_key())}"]
