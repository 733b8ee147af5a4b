"""What agents compile first, compiled by the host beforehand: the request path for each kernel of the lab.

In a guest, which is emulated, that takes minutes; here, seconds. The same compiler does it, in the guests' own root file system, from
the types of the guests' kernels, and guests find the outcome where agents look for what was compiled before. It takes root, and a
host that lets root make maps of BPF's kinds; elsewhere the first agent compiles, as on any node.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from clew_lab.chroot import run_in
from clew_lab.config import CHECKOUT_MOUNT, GUEST_PYTHON, SHARE_MOUNT
from clew_lab.guest import GuestOptions, boot, programs_folder
from clew_lab.image import CHECKOUT, Image, find_image, recipe_key
from clew_lab.keys import files_below, key_of
from clew_lab.store import Store

__all__ = ["clean", "provide"]

_TYPES_MOUNT = "/mnt"
_SOURCES = ("bpf", "crds/clew_crds", "node_agent/clew_agent", "lab/clew_lab/bpf_programs_inside.py")
_BOOT_SECONDS = 300.0


def provide() -> None:
    """Have all of it where guests look. What the host cannot do is said, and left to them."""
    if os.geteuid() != 0:
        return
    try:
        compiled = _COMPILED.find_or_build(_key())
    except subprocess.CalledProcessError as problem:
        print(f"clew-lab: agents will compile their programs in guests: {' '.join(map(str, problem.cmd[-4:]))} failed", file=sys.stderr)
        return
    for path in compiled.iterdir():
        kept = programs_folder() / path.name
        if not kept.exists():
            shutil.copyfile(path, draft := kept.with_name(f".new-{path.name}"))
            draft.rename(kept)


def clean(everything: bool = False) -> list[str]:
    """Remove what is there of other recipes, or all; return what was removed."""
    return [*_COMPILED.clean(None if everything else _key()), *_TYPES.clean(None if everything else recipe_key())]


def _key() -> str:
    return f"{recipe_key()}-{key_of(files_below(CHECKOUT, _SOURCES))}"


def _read_types(folder: Path) -> None:
    """Ask each kernel of the lab for its types, all at once."""
    image = find_image()
    with ExitStack() as held:
        guests = {
            release: held.enter_context(
                boot(image, GuestOptions(series, memory="1G", cpus=1), ["cp", "/sys/kernel/btf/vmlinux", SHARE_MOUNT])
            )
            for series, release in image.kernels.items()
        }
        for release, guest in guests.items():
            if status := guest.wait(_BOOT_SECONDS):
                raise subprocess.CalledProcessError(status, ["cp", "/sys/kernel/btf/vmlinux", "in a guest of", release])
            shutil.copyfile(guest.share / "vmlinux", folder / release)


def _compile(folder: Path) -> None:
    """Compile for all kernels at once, one process each."""
    image, types = find_image(), _TYPES.find_or_build(recipe_key())
    mounts = {CHECKOUT: CHECKOUT_MOUNT, folder: SHARE_MOUNT, types: _TYPES_MOUNT}
    run_in(image.root, *_command(image), mounts=mounts)


def _command(image: Image) -> Iterator[str]:
    paths = ":".join(f"{CHECKOUT_MOUNT}/{source}" for source in ("crds", "node_agent", "lab"))
    yield from ("env", f"PYTHONPATH={paths}", GUEST_PYTHON, "-m", "clew_lab.bpf_programs_inside", SHARE_MOUNT)
    yield from (f"{_TYPES_MOUNT}/{release}" for release in image.kernels.values())


_TYPES = Store("types", _read_types, "the types of the lab's kernels have not been read: run `make setup`", "a build")
_COMPILED = Store("compiled", _compile, "the agents' programs have not been compiled: run `make setup`", "a build")
