"""Compiled texts that are kept: found again by all that they depend on, and by nothing less."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from clew_agent.loader.cache import Cache, key_of
from clew_agent.loader.compiled import Code, Compiled, MapShape, Source

COMPILED = Compiled((MapShape("m", 1, 4, 4, 1, 0),), (Code("p", bytes(8)),), "GPL")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    tree = tmp_path / "tree"
    (tree / "include/linux").mkdir(parents=True)
    (tree / "include/vmlinux.h").write_text("struct sock { int a; };")
    (tree / "include/linux/version.h").write_text("#define LINUX_VERSION_CODE 1")
    return Source("int x;", ["-DA"], str(tree))


def test_the_same_source_has_the_same_key_wherever_its_tree_lies(source: Source, tmp_path: Path) -> None:
    before = key_of(source)
    assert key_of(Source(source.text, source.cflags, str(Path(source.tree).rename(tmp_path / "elsewhere")))) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda source: Source(source.text + " ", source.cflags, source.tree),
        lambda source: Source(source.text, [*source.cflags, "-DB"], source.tree),
        lambda source: (Path(source.tree, "include/vmlinux.h").write_text("struct sock { long a; };"), source)[1],
        lambda source: (Path(source.tree, "include/linux/new.h").write_text(""), source)[1],
    ],
    ids=["text", "flags", "types", "file"],
)
def test_whatever_differs_makes_another_key(source: Source, change: Callable[[Source], Source]) -> None:
    before = key_of(source)
    assert key_of(change(source)) != before


def test_what_is_kept_is_found_by_another_agent(tmp_path: Path) -> None:
    Cache(tmp_path / "programs").keep("k", COMPILED)
    assert Cache(tmp_path / "programs").find("k") == COMPILED
    assert Cache(tmp_path / "programs").find("other") is None
    assert [path.name for path in (tmp_path / "programs").iterdir()] == ["k"]


@pytest.mark.parametrize("content", [b"", b'{"maps": []', b"\xff\xfe"])
def test_a_file_that_is_broken_is_compiled_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    cache = Cache(tmp_path / "programs")
    (tmp_path / "programs/k").write_bytes(content)
    assert cache.find("k") is None
    assert f"{tmp_path}/programs/k is compiled anew: " in caplog.text
    cache.keep("k", COMPILED)
    assert cache.find("k") == COMPILED


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_folder_that_others_write_to_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int) -> None:
    folder = tmp_path / "programs"
    Cache(folder).keep("k", COMPILED)
    folder.chmod(mode)
    cache = Cache(folder)
    assert cache.find("k") is None
    cache.keep("other", COMPILED)
    assert [path.name for path in folder.iterdir()] == ["k"]
    assert caplog.messages == [f"compiled programs are not kept: {folder}: users other than the agent's can write to it"]


def test_a_folder_that_cannot_be_had_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "programs")
    cache.keep("k", COMPILED)
    assert cache.find("k") is None
    assert caplog.messages == [f"compiled programs are not kept: {tmp_path}/file/programs: Not a directory"]


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / "programs"
    cache = Cache(folder)
    for number in range(64):
        cache.keep(f"k{number}", COMPILED)
        os.utime(folder / f"k{number}", (number, number))
    assert cache.find("k0") == COMPILED  # is used now
    cache.keep("new", COMPILED)
    assert {path.name for path in folder.iterdir()} == {"k0", "new", *(f"k{number}" for number in range(2, 64))}
    assert caplog.messages == []
