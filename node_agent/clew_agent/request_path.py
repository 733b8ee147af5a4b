"""The request path as the loader is given it on one kernel: its text, and the headers that it needs, made of the kernel's own types.

What it becomes is found by all of it (:mod:`clew_agent.loader.cache`): whoever compiles ahead of an agent asks here, as the agent does.
"""

from __future__ import annotations

from pathlib import Path

from clew_agent.bpf_files import bpf_source
from clew_agent.kernel.btf import Btf
from clew_agent.kernel.headers import write_tree
from clew_agent.loader.load import Request
from clew_agent.program import Kernel, path_request, path_text


def request_path(btf: Btf, kernel: Kernel, release: str, folder: Path, *, fionread: bool) -> Request:
    """What is to be loaded. The headers are written into ``folder``, and must be there until all is compiled."""
    text = path_text(lambda name: bpf_source(name).read_text(), fionread=fionread)
    return path_request(text, kernel, write_tree(btf, [text, kernel.iov_member], folder, release))
