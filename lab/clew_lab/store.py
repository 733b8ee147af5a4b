"""Things that are built once and kept in the user's cache, each found by a key of what it was built from (:mod:`clew_lab.keys`).

As with guests' images (:mod:`clew_lab.image`): a build appears by one rename, under an exclusive lock, and who runs from it holds a
shared lock on it, so that nothing is built twice and nothing is removed from under anyone.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clew_lab.image import cache_dir

__all__ = ["NotBuilt", "Store", "in_use"]


class NotBuilt(RuntimeError):
    """What is wanted has not been built from the present recipe; the message says how to do so."""


@dataclass(frozen=True, slots=True)
class Store:
    """All builds of one kind, in the folder `name` below the cache: the key of the present recipe, and how a new folder is filled by it.

    `missing` is told to who finds none, `user` names who may run from one.
    """

    name: str
    key: Callable[[], str]
    build: Callable[[Path], None]
    missing: str
    user: str

    @property
    def base(self) -> Path:
        """The folder that holds the builds."""
        return cache_dir() / self.name

    def find(self) -> Path:
        """Return the folder of the present recipe's build; `NotBuilt` if there is none."""
        path = self.base / self.key()
        if not path.exists():
            raise NotBuilt(self.missing)
        return path

    def find_or_build(self) -> Path:
        """Return the folder of the present recipe's build, building it if it is not there yet.

        Raises what `build` raises: ``subprocess.CalledProcessError`` for a command that failed, and has then said why on stderr.
        """
        with self.alone():
            built = self.base / self.key()
            if built.exists():
                return built
            work = built.with_suffix(".building")
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            self.build(work)
            return work.rename(built)

    def clean(self, everything: bool = False) -> list[str]:
        """Remove the builds of other recipes, or all; return what was removed, and what was not since somebody uses it."""
        kept = None if everything else self.key()
        with self.alone():
            return [self._remove(path) for path in sorted(self.base.glob("*/")) if path.name != kept]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else build or remove anything of this kind while the body runs."""
        self.base.mkdir(parents=True, exist_ok=True)
        with (self.base / "build.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _remove(self, path: Path) -> str:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
            return f"removed {path}"
        except BlockingIOError:
            return f"kept {path}: {self.user} runs from it"
        finally:
            os.close(fd)


@contextmanager
def in_use(build: Path) -> Iterator[None]:
    """Keep `clean` away from a build while the body runs."""
    fd = os.open(build, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)
