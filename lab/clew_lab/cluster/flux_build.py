"""How Flux's controllers are built from Go modules. Tests alone ask for them, so they are no part of the control plane's build.

Theirs is a module of its own, since they are made with other releases of Kubernetes' libraries than the control plane. The text of
this file is part of the recipe's key.
"""

import subprocess
from pathlib import Path

from clew_lab.cluster.toolchain import compile_command, go_cache, go_environment, go_program, module_folder
from clew_lab.image import CHECKOUT
from clew_lab.keys import files_below, key_of
from clew_lab.store import Store

__all__ = ["DEFINITIONS", "PROGRAMS", "build"]

DEFINITIONS = "definitions.yaml"
"""The CustomResourceDefinitions of their kinds."""

_CONTROLLERS = ("source-controller", "kustomize-controller")  # each the main package of the Go module of its name
_RECIPE = Path(__file__).with_name("flux_recipe")


def build(target: Path, cache: Path) -> None:
    """Put the controllers and the definitions of their kinds into `target`; downloads and compiled packages are kept in `cache`.

    Raises ``subprocess.CalledProcessError`` when go fails; it has named on stderr the module that cannot be had.
    """
    go, environment = str(go_program(cache, _RECIPE / "go.mod")), go_environment(cache)
    modules = [f"github.com/fluxcd/{name}" for name in _CONTROLLERS]
    subprocess.run([*compile_command(go, "-s -w"), "-o", f"{target}/", *modules], cwd=_RECIPE, env=environment, check=True)
    folders = [module_folder(go, environment, _RECIPE, module) / "config/crd/bases" for module in modules]
    definitions = [path.read_text() for folder in folders for path in sorted(folder.glob("*.yaml"))]
    (target / DEFINITIONS).write_text("\n".join(definitions))


PROGRAMS = Store(
    "flux",
    lambda: key_of(files_below(CHECKOUT, ("lab/clew_lab/cluster/flux_build.py", "lab/clew_lab/cluster/flux_recipe"))),
    lambda target: build(target, go_cache()),
    "the lab's Flux has not been built: run `clew-lab setup` (or `make setup`)",
    "a Flux",
)
