"""How Jaeger and the OpenTelemetry Collector are built from Go modules, each with no more than the lab asks of it.

Two modules, since Jaeger is made with an older release of the Collector's libraries. Jaeger's components are internal to its program,
so its module here is named as a folder below that. The text of this file is part of the recipe's key.
"""

import subprocess
from pathlib import Path

from clew_lab.cluster.programs import go_cache
from clew_lab.cluster.toolchain import compile_command, go_environment, go_program
from clew_lab.image import CHECKOUT
from clew_lab.keys import files_below, key_of
from clew_lab.store import Store

__all__ = ["COLLECTOR", "JAEGER", "build_programs", "clean", "find_programs", "recipe_key"]

JAEGER, COLLECTOR = "jaeger", "collector"
"""The programs, and their modules' folders in the recipe."""

_RECIPE = Path(__file__).with_name("recipe")


def recipe_key() -> str:
    """Return the hash of the files that the programs are made from, 16 hex digits."""
    return key_of(files_below(CHECKOUT, ("lab/clew_lab/backends/build.py", "lab/clew_lab/backends/recipe")))


def find_programs() -> Path:
    """Return the folder of the programs; :class:`clew_lab.store.NotBuilt` if they have not been built."""
    return _STORE.find(recipe_key())


def build_programs() -> Path:
    """Return the folder of the programs, building them if they are not there yet.

    Raises ``subprocess.CalledProcessError`` when go fails; it has then said why on stderr.
    """
    return _STORE.find_or_build(recipe_key())


def clean(everything: bool = False) -> list[str]:
    """Remove programs of other recipes, or all of them; return what was removed, and what was not."""
    return _STORE.clean(None if everything else recipe_key())


def _build(target: Path) -> None:
    for name in (JAEGER, COLLECTOR):
        module = _RECIPE / name
        go = go_program(go_cache(), module / "go.mod")
        argv = [*compile_command(str(go), "-s -w"), "-o", str(target / name), "."]
        subprocess.run(argv, cwd=module, env=go_environment(go_cache()), check=True)


_STORE = Store(
    "backends",
    _build,
    "the lab's Jaeger and Collector have not been built: run `clew-lab cluster build` (or `make setup`)",
    "a Jaeger or a Collector",
)
