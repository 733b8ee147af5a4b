"""`clew-lab images`: all images that the project makes, from one table, each found in the cache by the key of what it is made from."""

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clew_lab.host import HostUnready, as_root, ensure_host_packages
from clew_lab.image import cache_dir
from clew_lab.images import bookinfo, product
from clew_lab.images.layers import ARCHITECTURES, layers_key
from clew_lab.images.oci import digest_of
from clew_lab.images.packages import PackageError
from clew_lab.images.recipe import Recipe
from clew_lab.images.runtimes import runtimes_key
from clew_lab.nodes import images as nodes

__all__ = ["clean", "images", "main", "tars"]


def _recipes(architecture: str) -> list[Recipe]:
    return product.recipes(architecture) + bookinfo.recipes(architecture) + nodes.recipes(architecture)


def tars(architecture: str = "amd64") -> dict[str, Path]:
    """Return where the tar of each image is or will be, by the image's name; what an image is made from tells its place."""
    return {recipe.name: _tar(recipe) for recipe in _recipes(architecture)}


def images(architecture: str = "amd64") -> dict[str, Path]:
    """Return the tar of each image, by the image's name, such as clew/agent:0.1.0; what is not there is built, as root, in minutes."""
    made = tars(architecture)
    if all(tar.exists() for tar in made.values()):
        return made
    ensure_host_packages()
    if os.geteuid() != 0:
        subprocess.run(as_root([sys.executable, "-m", "clew_lab.main", "images", "--arch", architecture]), check=True)
        return made
    with _alone():
        for recipe in _recipes(architecture):
            if not made[recipe.name].exists():
                made[recipe.name].parent.mkdir(parents=True, exist_ok=True)
                recipe.write(made[recipe.name])
    return made


def _tar(recipe: Recipe) -> Path:
    return _base() / "images" / recipe.key() / (re.sub(r"[/:]", "-", recipe.name) + ".tar")


def clean(everything: bool = False) -> list[str]:
    """Remove images and layers of earlier recipes (or all of them); return what was removed."""
    present = {_tar(recipe).parent for architecture in ARCHITECTURES for recipe in _recipes(architecture)}
    present |= {_base() / "layers" / f"{layers_key()}-{architecture}" for architecture in ARCHITECTURES}
    present.add(_base() / "layers" / f"runtimes-{runtimes_key()}")
    said = []
    with _alone():
        for path in sorted(_base().glob("*/*")):
            if everything or path not in present:
                shutil.rmtree(path)
                said.append(f"removed {path}")
    return said


@contextmanager
def _alone() -> Iterator[None]:
    """Let nobody else build or remove images while the body runs."""
    _base().mkdir(parents=True, exist_ok=True)
    with (_base() / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _base() -> Path:
    return cache_dir() / "oci"


def main(argv: Sequence[str]) -> int:
    """Run `clew-lab images`: make them, and print each one's name, digest, size and place; return its exit status."""
    parser = argparse.ArgumentParser(prog="clew-lab images", description=__doc__)
    parser.add_argument("--arch", choices=ARCHITECTURES, default="amd64", help="what they run on (default amd64)")
    try:
        for name, tar in images(parser.parse_args(argv).arch).items():
            print(f"{name}  {digest_of(tar)}  {tar.stat().st_size / 1e6:.1f} MB  {tar}")
    except (HostUnready, PackageError) as problem:
        print(f"clew-lab: {problem}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as problem:
        print(f"clew-lab: `{' '.join(map(str, problem.cmd))}` failed with status {problem.returncode}", file=sys.stderr)
        return 1
    return 0
