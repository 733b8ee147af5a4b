"""What the lab's host compiles for its guests is what agents look for on these very kernels."""

from __future__ import annotations

import os
from pathlib import Path

from clew_agent.kernel.btf import read_vmlinux
from clew_agent.loader.cache import Cache, key_of
from clew_agent.program import inspect
from clew_agent.request_path import request_path

PROGRAMS = Path("/run/clew/programs")


def test_both_texts_of_the_request_path_are_there(tmp_path: Path) -> None:
    """Also the one that no agent asks for on this kernel. Agents believe files of root alone: where another runs guests, there are none."""
    btf = read_vmlinux()
    kernel, release = inspect(btf), os.uname().release
    texts = [request_path(btf, kernel, release, tmp_path / str(fionread), fionread=fionread) for fionread in (False, True)]
    found = [Cache(PROGRAMS).find(key_of(text.source)) for text in texts]
    assert [one is not None for one in found] == [PROGRAMS.stat().st_uid == 0] * 2
