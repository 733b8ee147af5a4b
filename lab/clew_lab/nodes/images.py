"""Images that the nodes themselves need, of programs of Debian's and our own build: the sandbox of pods, CoreDNS, a shell for tests."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from clew_lab.image import Image
from clew_lab.images.oci import ImageConfig, write_image
from clew_lab.nodes.addons import DNS_IMAGE
from clew_lab.nodes.files import PAUSE_IMAGE

__all__ = ["SHELL_IMAGE", "write_node_images"]

SHELL_IMAGE = "docker.io/clew/busybox:1"
"""busybox with all its commands: enough to serve and ask by HTTP, and to look around."""


def write_node_images(target: Path, image: Image, programs: Path) -> list[Path]:
    """Write each image as a tar into `target`, out of the guests' root file system and the nodes' programs; return the tars."""
    roots: dict[str, tuple[Callable[[Path], None], ImageConfig]] = {
        PAUSE_IMAGE: (lambda root: _one(root, image.root / "usr/bin/catatonit"), ImageConfig(entrypoint=("/catatonit", "-P"))),
        DNS_IMAGE: (lambda root: _one(root, programs / "coredns"), ImageConfig(entrypoint=("/coredns",))),
        SHELL_IMAGE: (
            lambda root: _shell(root, image.root / "usr/bin/busybox"),
            ImageConfig(command=("sh",), environment={"PATH": "/bin"}),
        ),
    }
    tars = []
    for number, (name, (fill, config)) in enumerate(roots.items()):
        with tempfile.TemporaryDirectory(dir=target) as root:
            fill(Path(root))
            tars.append(target / f"{number}.tar")
            write_image(tars[-1], name, Path(root), config=config)
    return tars


def _one(root: Path, program: Path) -> None:
    shutil.copy(program, root / program.name)


def _shell(root: Path, busybox: Path) -> None:
    (root / "bin").mkdir()
    (root / "tmp").mkdir(mode=0o777)
    _one(root / "bin", busybox)
    commands = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for command in commands:
        if command != busybox.name:
            (root / "bin" / command).symlink_to(busybox.name)
