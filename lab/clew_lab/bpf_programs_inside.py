"""``python -m clew_lab.bpf_programs_inside FOLDER TYPES…``: compiles the request path for kernels, in the guests' root file system.

Each file of types is called as the kernel's release. Both of a kernel's texts are compiled: which of them an agent takes depends on what it
may do there.
"""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clew_agent.kernel.btf import read_vmlinux
from clew_agent.loader.cache import Cache
from clew_agent.loader.load import Loader
from clew_agent.program import inspect
from clew_agent.request_path import request_path

__all__ = ["main"]


def main() -> None:
    """Compile what is not in the folder yet, by the names by which agents look for it. Raises ``LoadError`` with what the compiler says."""
    loader = Loader(Cache(Path(sys.argv[1])))
    with ThreadPoolExecutor(max(1, len(sys.argv) - 2)) as kernels:
        for done in [kernels.submit(_compile, loader, Path(types)) for types in sys.argv[2:]]:
            done.result()


def _compile(loader: Loader, types: Path) -> None:
    btf = read_vmlinux(types)
    kernel = inspect(btf)
    for fionread in (False, True):
        with tempfile.TemporaryDirectory(prefix="clew-") as tree:
            loader.compile(request_path(btf, kernel, types.name, Path(tree), fionread=fionread).source)


if __name__ == "__main__":
    main()
