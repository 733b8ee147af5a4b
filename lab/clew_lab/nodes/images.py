"""Images that the nodes themselves need, of programs of Debian's and our own build: the sandbox of pods, CoreDNS, a shell for tests."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from clew_lab import image
from clew_lab.image import CHECKOUT
from clew_lab.images.oci import ImageConfig, write_image
from clew_lab.images.recipe import Recipe
from clew_lab.keys import files_below, key_of
from clew_lab.nodes import build
from clew_lab.nodes.addons import DNS_IMAGE
from clew_lab.nodes.files import PAUSE_IMAGE

__all__ = ["SHELL_IMAGE", "recipes"]

SHELL_IMAGE = "clew/busybox:1"
"""busybox with all its commands: enough to serve and ask by HTTP, and to look around."""

_RECIPE = ("lab/clew_lab/images/oci.py", "lab/clew_lab/nodes/images.py")


def recipes(architecture: str = "amd64") -> list[Recipe]:
    """How the images are made; the lab's nodes are of one architecture, and there are none for others."""
    if architecture != "amd64":
        return []
    return [
        _recipe(PAUSE_IMAGE, image.recipe_key, _pause, ImageConfig(entrypoint=("/catatonit", "-P"))),
        _recipe(DNS_IMAGE, build.recipe_key, _coredns, ImageConfig(entrypoint=("/coredns",))),
        _recipe(SHELL_IMAGE, image.recipe_key, _shell, ImageConfig(command=("sh",), environment={"PATH": "/bin"})),
    ]


def _recipe(name: str, source: Callable[[], str], fill: Callable[[Path], None], config: ImageConfig) -> Recipe:
    return Recipe(name, key=partial(_key, source), write=partial(_write, name, fill, config))


def _key(source: Callable[[], str]) -> str:
    return f"{source()}-{key_of(files_below(CHECKOUT, _RECIPE))}"


def _write(name: str, fill: Callable[[Path], None], config: ImageConfig, tar: Path) -> None:
    with tempfile.TemporaryDirectory(dir=tar.parent) as root:
        fill(Path(root))
        write_image(tar, name, Path(root), config=config)


def _pause(root: Path) -> None:
    shutil.copy(image.build_image().root / "usr/bin/catatonit", root)


def _coredns(root: Path) -> None:
    shutil.copy(build.PROGRAMS.find_or_build() / "coredns", root)


def _shell(root: Path) -> None:
    busybox = image.build_image().root / "usr/bin/busybox"
    (root / "bin").mkdir()
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    shutil.copy(busybox, root / "bin")
    for command in subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split():
        if command != busybox.name:
            (root / "bin" / command).symlink_to(busybox.name)
