"""What the loader says when its compiler, a process of its own, does not do what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest
from clew_agent.loader.cache import Cache
from clew_agent.loader.compiled import Source
from clew_agent.loader.load import Loader, LoadError


def test_a_compiler_that_does_not_end_is_a_load_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("clew_agent.loader.load._TIMEOUT", 0.001)  # less than Python takes to start
    with pytest.raises(LoadError, match=r"^the programs could not be compiled: the compiler had not ended after 0\.001 s$"):
        Loader().compile(Source("int x;", [], str(tmp_path)))


def test_what_a_compiler_that_fails_says_is_passed_on(tmp_path: Path) -> None:
    """There is no BCC in the Python of these tests."""
    cache = Cache(tmp_path / "programs")
    with pytest.raises(LoadError, match=r"(?s)^the programs could not be compiled: .*No module named 'bcc'$"):
        Loader(cache).compile(Source("int x;", [], str(tmp_path / "tree")))
    assert list((tmp_path / "programs").iterdir()) == []
