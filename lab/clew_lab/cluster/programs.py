"""The cluster's programs in the cache, found by the hash of the recipe they were built from.

As with guests' images (:mod:`clew_lab.image`): a build appears by one rename, under an exclusive lock, and a running cluster holds
a shared lock on it, so that nothing is built twice and nothing is removed from under a cluster.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clew_lab.cluster import build as recipe
from clew_lab.cluster.toolchain import RECIPE
from clew_lab.image import cache_dir
from clew_lab.keys import key_of

__all__ = ["ProgramsMissing", "build_programs", "clean", "find_programs", "in_use", "recipe_key"]


class ProgramsMissing(RuntimeError):
    """The cluster's programs of the present recipe have not been built."""


def recipe_key() -> str:
    """Return the hash of the files that the programs are made from, 16 hex digits."""
    files = {path.relative_to(RECIPE).as_posix(): path for path in RECIPE.rglob("*") if path.is_file()}
    return key_of(dict(sorted({"build.py": Path(recipe.__file__), **files}.items())))


def find_programs() -> Path:
    """Return the folder of the programs; `ProgramsMissing` if they have not been built."""
    path = _base() / recipe_key()
    if not path.exists():
        raise ProgramsMissing("the lab's control plane has not been built: run `clew-lab cluster build` (or `make setup`)")
    return path


def build_programs() -> Path:
    """Return the folder of the programs, building them if they are not there yet."""
    with _alone():
        try:
            return find_programs()
        except ProgramsMissing:
            pass
        built = _base() / recipe_key()
        work = built.with_suffix(".building")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        recipe.build(work, _go_cache())
        return work.rename(built)


@contextmanager
def in_use(programs: Path) -> Iterator[None]:
    """Keep `clean` away from the programs while the body runs."""
    fd = os.open(programs, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


def clean(everything: bool = False) -> list[str]:
    """Remove programs of other recipes (or all of them, and Go's caches); return what was removed, and what was not."""
    with _alone():
        said = [_remove(path) for path in sorted(_base().glob("*/")) if everything or path.name != recipe_key()]
        if everything and _go_cache().exists():
            shutil.rmtree(_go_cache())
            said.append(f"removed {_go_cache()}")
    return said


def _remove(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
        return f"removed {path}"
    except BlockingIOError:
        return f"kept {path}: a cluster runs from it"
    finally:
        os.close(fd)


@contextmanager
def _alone() -> Iterator[None]:
    """Let nobody else build or remove programs while the body runs."""
    _base().mkdir(parents=True, exist_ok=True)
    with (_base() / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _base() -> Path:
    return cache_dir() / "cluster"


def _go_cache() -> Path:
    return cache_dir() / "go"
