"""How Jaeger and the OpenTelemetry Collector are built from Go modules, each with no more than the lab asks of it.

Two modules, since Jaeger is made with an older release of the Collector's libraries; each is built by itself, since the demo asks for
Jaeger alone. Jaeger's components are internal to its program, so its module here is named as a folder below that. The text of this file
is part of the recipe's key.
"""

import subprocess
from functools import partial
from pathlib import Path

from clew_lab.cluster.toolchain import compile_command, go_cache, go_environment, go_program
from clew_lab.image import CHECKOUT
from clew_lab.keys import files_below, key_of
from clew_lab.store import Store

__all__ = ["COLLECTOR", "JAEGER", "PROGRAMS"]

JAEGER, COLLECTOR = "jaeger", "collector"
"""The programs, and their modules' folders in the recipe."""

_RECIPE = Path(__file__).with_name("recipe")


def _build(name: str, target: Path) -> None:
    go = go_program(go_cache(), _RECIPE / name / "go.mod")
    argv = [*compile_command(str(go), "-s -w"), "-o", str(target / name), "."]
    subprocess.run(argv, cwd=_RECIPE / name, env=go_environment(go_cache()), check=True)


def _store(name: str) -> Store:
    made_from = ("lab/clew_lab/backends/build.py", f"lab/clew_lab/backends/recipe/{name}")
    missing = f"the lab's {name.capitalize()} has not been built: run `clew-lab setup` (or `make setup`)"
    return Store(name, lambda: key_of(files_below(CHECKOUT, made_from)), partial(_build, name), missing, f"a {name.capitalize()}")


PROGRAMS = {name: _store(name) for name in (JAEGER, COLLECTOR)}
"""Where each program is kept, by its name."""
