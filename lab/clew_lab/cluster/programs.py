"""The control plane's programs in the cache, found by the hash of the recipe they were built from."""

import shutil
from pathlib import Path

from clew_lab.cluster import build as recipe
from clew_lab.cluster.toolchain import RECIPE
from clew_lab.image import cache_dir
from clew_lab.keys import key_of
from clew_lab.store import Store, in_use

__all__ = ["build_programs", "clean", "find_programs", "go_cache", "in_use", "recipe_key"]

_MISSING = "the lab's control plane has not been built: run `clew-lab cluster build` (or `make setup`)"
_STORE = Store("cluster", lambda target: recipe.build(target, go_cache()), _MISSING, "a cluster")


def recipe_key() -> str:
    """Return the hash of the files that the programs are made from, 16 hex digits."""
    files = {path.relative_to(RECIPE).as_posix(): path for path in RECIPE.rglob("*") if path.is_file()}
    return key_of(dict(sorted({"build.py": Path(recipe.__file__), **files}.items())))


def find_programs() -> Path:
    """Return the folder of the programs; :class:`clew_lab.store.NotBuilt` if they have not been built."""
    return _STORE.find(recipe_key())


def build_programs() -> Path:
    """Return the folder of the programs, building them if they are not there yet."""
    return _STORE.find_or_build(recipe_key())


def clean(everything: bool = False) -> list[str]:
    """Remove programs of other recipes (or all of them, and Go's caches); return what was removed, and what was not."""
    said = _STORE.clean(None if everything else recipe_key())
    if everything and go_cache().exists():
        shutil.rmtree(go_cache())
        said.append(f"removed {go_cache()}")
    return said


def go_cache() -> Path:
    """Return where Go keeps what it has downloaded and compiled."""
    return cache_dir() / "go"
