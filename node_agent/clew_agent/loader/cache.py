"""Compiled texts kept as files, so that an agent that starts again on the same kernel need not compile again.

To compile takes seconds of a processor and 150 MB; to read the outcome, none. The name of a file is a hash of all that the outcome
depends on: the text, the flags, the headers made of the kernel's BTF (its release is in them), the machine, and BCC's version. The
folder is in ``/run``, so that nothing outlives a boot, and is believed only where none but the agent's user can write to it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import platform
import stat
import tempfile
from pathlib import Path

from clew_agent.loader.compiled import Compiled, CompiledError, Source, decode, encode

_LOG = logging.getLogger("clew.loader")
_FORMAT = "1"  # another one when compiled.py writes otherwise
_KEPT = 64  # files, of 100 KiB each: the request path, and the lists of functions that policies had of late


def key_of(source: Source) -> str:
    """The name of what this source becomes. Raises ``OSError`` where the tree cannot be read."""
    found = hashlib.sha256()
    tree = Path(source.tree)
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    parts = [_FORMAT, platform.machine(), _bcc_version(), source.text, *source.cflags]
    for part in [*parts, *(text for path in files for text in (str(path.relative_to(tree)), path.read_text()))]:
        found.update(f"{len(part)}:{part}".encode())
    return found.hexdigest()


def _bcc_version() -> str:
    """What BCC says of its version; read, not imported, since an import would bring LLVM in."""
    spec = importlib.util.find_spec("bcc")
    if spec is None or spec.origin is None:
        return ""
    version = Path(spec.origin).with_name("version.py")
    return version.read_text() if version.exists() else ""


class Cache:
    """The files in a folder. A folder that cannot be had, or that others can write to, is done without, and said once."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, unless it is there."""
        self._folder: Path | None = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.stat()
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
                raise PermissionError(0, "users other than the agent's can write to it")
        except OSError as error:
            self._give_up(error)

    def find(self, key: str) -> Compiled | None:
        """What is kept by that name; None where there is nothing that can be used."""
        if self._folder is None:
            return None
        path = self._folder / key
        try:
            found = decode(path.read_text())
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, CompiledError) as error:
            _LOG.warning("%s is compiled anew: %s", path, error)
            return None
        return found

    def keep(self, key: str, compiled: Compiled) -> None:
        """Keep it by that name, and no more files than are of use."""
        if self._folder is None:
            return
        try:
            with tempfile.NamedTemporaryFile("w", dir=self._folder, prefix=".new-", delete=False) as draft:
                draft.write(encode(compiled))
            os.replace(draft.name, self._folder / key)
            kept = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            for path in kept[_KEPT:]:
                path.unlink(missing_ok=True)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        _LOG.warning("compiled programs are not kept: %s: %s", self._folder, error.strerror)
        self._folder = None
