"""Images in the cache: a root file system with its kernels, found by the hash of the recipe it was built from.

An image appears by one rename, so what is there is whole. A builder holds an exclusive lock, a guest a shared one on the
image it runs from: two runs never build the same thing twice, and `clean` never takes an image from under a guest.
"""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clew_lab import rootfs
from clew_lab.config import KERNELS
from clew_lab.keys import files_below, key_of

__all__ = ["CHECKOUT", "Image", "ImageMissing", "build_image", "cache_dir", "clean", "find_image", "in_use", "recipe_key"]

CHECKOUT = Path(__file__).resolve().parents[2]
_RECIPE = ("lab/clew_lab/chroot.py", "lab/clew_lab/config.py", "lab/clew_lab/rootfs.py", "requirements/dev.txt")
_INDEX = "image.json"


class ImageMissing(RuntimeError):
    """The lab has no image of the present recipe."""


@dataclass(frozen=True, slots=True)
class Image:
    """One built image: `path` holds `root/`; `kernels` maps a series to its release, such as 6.1 to 6.1.0-56-amd64."""

    path: Path
    kernels: dict[str, str]

    @property
    def root(self) -> Path:
        """The root file system."""
        return self.path / "root"

    def boot_file(self, kernel: str) -> Path:
        """Return the bootable file of a kernel series."""
        return self.root / "boot" / f"vmlinuz-{self.kernels[kernel]}"


def cache_dir() -> Path:
    """Return the lab's folder in the user's cache (XDG base directories)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clew" / "lab"


def recipe_key(checkout: Path = CHECKOUT) -> str:
    """Return the hash of the files that an image is made from, 16 hex digits."""
    return key_of(files_below(checkout, _RECIPE))


def find_image() -> Image:
    """Return the image of the present recipe; `ImageMissing` if it has not been built."""
    path = cache_dir() / "images" / recipe_key()
    try:
        return Image(path, json.loads((path / _INDEX).read_text()))
    except FileNotFoundError:
        raise ImageMissing("the lab has no image of the present recipe: run `clew-lab setup` (or `make setup`)") from None


def build_image() -> Image:
    """Return the image of the present recipe, building it (as root, some minutes) if it is not there yet."""
    base = cache_dir()
    (base / "images").mkdir(parents=True, exist_ok=True)
    with (base / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return find_image()
        except ImageMissing:
            pass
        work = base / "images" / f"{recipe_key()}.building"
        _remove(work)
        work.mkdir()
        releases = rootfs.build(work / "root", base / "debs", CHECKOUT / "requirements" / "dev.txt")
        (work / _INDEX).write_text(json.dumps({kernel.name: releases[kernel.name] for kernel in KERNELS}))
        work.rename(base / "images" / recipe_key())
    return find_image()


@contextmanager
def in_use(image: Image) -> Iterator[None]:
    """Keep `clean` away from an image while the body runs."""
    fd = os.open(image.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


def clean(everything: bool = False) -> list[str]:
    """Remove images of other recipes (or all of them, and the package cache); return what was removed, and what was not."""
    said = []
    base = cache_dir()
    for path in sorted((base / "images").glob("*")):
        if path.name == recipe_key() and not everything:
            continue
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
            said.append(f"removed {path}")
        except BlockingIOError:
            said.append(f"kept {path}: a guest runs from it")
        finally:
            os.close(fd)
    if everything and (base / "debs").exists():
        shutil.rmtree(base / "debs")
        said.append(f"removed {base / 'debs'}")
    return said


def _remove(path: Path) -> None:
    """Remove a tree, but never what is mounted below it."""
    subprocess.run(["rm", "--recursive", "--force", "--one-file-system", "--", str(path)], check=True)
