"""What agents compile first, compiled by the host beforehand: the request path for each kernel of the lab.

In a guest, which is emulated, that takes minutes; here, seconds. The same compiler does it, in the guests' own root file system, from
the types of the guests' kernels, and puts the outcome where agents look for what was compiled before. It takes root, and a host that
lets root make maps of BPF's kinds; elsewhere the first agent compiles, as on any node.
"""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from clew_lab.chroot import run_in
from clew_lab.config import CHECKOUT_MOUNT, GUEST_PYTHON, SHARE_MOUNT
from clew_lab.guest import GuestOptions, boot, programs_folder
from clew_lab.image import CHECKOUT, Image, find_image, recipe_key
from clew_lab.store import Store

__all__ = ["TYPES", "provide"]

_TYPES_MOUNT = "/mnt"
_TYPES_FILE = "/sys/kernel/btf/vmlinux"
_PATHS = ":".join(f"{CHECKOUT_MOUNT}/{source}" for source in ("crds", "node_agent", "lab"))
_BOOT_SECONDS = 300.0


def provide(image: Image) -> None:
    """Have all of it where guests look: a second's work where it is there. What the host cannot do is said, and left to guests."""
    if os.geteuid() != 0:
        return
    try:
        types = TYPES.find_or_build()
        compile_them = ["env", f"PYTHONPATH={_PATHS}", GUEST_PYTHON, "-m", "clew_lab.bpf_programs_inside", SHARE_MOUNT]
        compile_them += [f"{_TYPES_MOUNT}/{release}" for release in image.kernels.values()]
        run_in(image.root, *compile_them, mounts={CHECKOUT: CHECKOUT_MOUNT, programs_folder(): SHARE_MOUNT, types: _TYPES_MOUNT})
    except subprocess.CalledProcessError as problem:
        print(f"clew-lab: agents will compile in guests, since this host cannot (status {problem.returncode})", file=sys.stderr)
    except subprocess.TimeoutExpired as problem:
        print(f"clew-lab: agents will compile in guests, since none has told its types within {problem.timeout:g} s", file=sys.stderr)


def _read_types(folder: Path) -> None:
    """Ask each kernel of the lab for its types, all at once."""
    image = find_image()
    with ExitStack() as held:
        guests = {
            release: held.enter_context(boot(image, GuestOptions(series, memory="1G", cpus=1), ["cp", _TYPES_FILE, SHARE_MOUNT]))
            for series, release in image.kernels.items()
        }
        for release, guest in guests.items():
            if status := guest.wait(_BOOT_SECONDS):
                raise subprocess.CalledProcessError(status, [f"cp {_TYPES_FILE}", "in a guest of", release])
            shutil.copyfile(guest.share / Path(_TYPES_FILE).name, folder / release)


TYPES = Store("types", recipe_key, _read_types, "the types of the lab's kernels have not been read: run `make setup`", "a build")
