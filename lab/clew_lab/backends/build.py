"""How Jaeger and the OpenTelemetry Collector are built from Go modules, each with no more than the lab asks of it.

Two modules, since Jaeger is made with an older release of the Collector's libraries; each is built by itself, since the demo asks for
Jaeger alone. Jaeger's components are internal to its program, so its module here is named as a folder below that. The text of this file
is part of the recipe's key.
"""

import subprocess
from functools import partial
from pathlib import Path

from clew_lab.cluster.programs import go_cache
from clew_lab.cluster.toolchain import compile_command, go_environment, go_program
from clew_lab.image import CHECKOUT
from clew_lab.keys import files_below, key_of
from clew_lab.store import Store

__all__ = ["COLLECTOR", "JAEGER", "build_program", "clean", "find_program", "recipe_key"]

JAEGER, COLLECTOR = "jaeger", "collector"
"""The programs, and their modules' folders in the recipe."""

_RECIPE = Path(__file__).with_name("recipe")


def recipe_key(name: str) -> str:
    """Return the hash of the files that a program is made from, 16 hex digits."""
    return key_of(files_below(CHECKOUT, ("lab/clew_lab/backends/build.py", f"lab/clew_lab/backends/recipe/{name}")))


def find_program(name: str) -> Path:
    """Return the folder of a program; :class:`clew_lab.store.NotBuilt` if it has not been built."""
    return _store(name).find(recipe_key(name))


def build_program(name: str) -> Path:
    """Return the folder of a program, building it if it is not there yet.

    Raises ``subprocess.CalledProcessError`` when go fails; it has then said why on stderr.
    """
    return _store(name).find_or_build(recipe_key(name))


def clean(everything: bool = False) -> list[str]:
    """Remove programs of other recipes, or all of them; return what was removed, and what was not."""
    return [line for name in (JAEGER, COLLECTOR) for line in _store(name).clean(None if everything else recipe_key(name))]


def _build(name: str, target: Path) -> None:
    go = go_program(go_cache(), _RECIPE / name / "go.mod")
    argv = [*compile_command(str(go), "-s -w"), "-o", str(target / name), "."]
    subprocess.run(argv, cwd=_RECIPE / name, env=go_environment(go_cache()), check=True)


def _store(name: str) -> Store:
    missing = f"the lab's {name.capitalize()} has not been built: run `clew-lab setup` (or `make setup`)"
    return Store(name, partial(_build, name), missing, f"a {name.capitalize()}")
