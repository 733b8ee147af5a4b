"""The disk of a node: its programs, and containerd's root with all images unpacked in it.

An image that is imported in a guest costs a minute for 80 MB, hashed and unpacked by an emulated processor. So containerd runs on the
host for a moment, with its root in a folder, and an ext4 file system is made of the folder: seconds for all. Guests share the one file
and keep what they write to themselves. Built as root; the text of this file is part of its key.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clew_lab.image import CHECKOUT
from clew_lab.images.build import images, tars
from clew_lab.keys import files_below, key_of
from clew_lab.nodes import build
from clew_lab.nodes.files import containerd_config
from clew_lab.store import Store

__all__ = ["DISK", "DISKS"]

DISK = "disk.img"

_RECIPE = ("lab/clew_lab/nodes/disk.py", "lab/clew_lab/nodes/files.py")
_SIZE = "16G"
_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "kube-proxy", "kubelet")
_NO_PODS = ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri")
_START_SECONDS = 60
_POLL_SECONDS = 0.1


def _disk_key() -> str:
    own = key_of(files_below(CHECKOUT, _RECIPE))
    images = [f"{tar.parent.name}/{tar.name}" for tar in tars().values()]
    return hashlib.sha256(" ".join([own, build.recipe_key(), *images]).encode()).hexdigest()[:16]


def _build(target: Path) -> None:
    programs = build.PROGRAMS.find_or_build()
    with tempfile.TemporaryDirectory(dir=target) as work:
        root = Path(work, "root")
        (root / "bin").mkdir(parents=True)
        (root / "var/lib").mkdir(parents=True)
        _unpack(images().values(), root / "var/lib/containerd", programs, Path(work))
        for name in _PROGRAMS:
            shutil.copy(programs / name, root / "bin" / name)
        disk = target / DISK
        subprocess.run(["truncate", f"--size={_SIZE}", disk], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard", "-d", root, disk], check=True)


def _unpack(archives: Iterable[Path], root: Path, programs: Path, work: Path) -> None:
    # A socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="clew-containerd-") as state, _containerd(root, programs, work, Path(state)) as ctr:
        for tar in archives:
            subprocess.run([*ctr, "images", "import", "--local", "--snapshotter=overlayfs", str(tar)], check=True, stdout=sys.stderr)


@contextmanager
def _containerd(root: Path, programs: Path, work: Path, state: Path) -> Iterator[list[str]]:
    """Run a containerd that takes images and nothing else; yields the beginning of a command to it."""
    (work / "containerd.toml").write_text(containerd_config(str(root), str(state), _NO_PODS))
    with (work / "containerd.log").open("wb") as log:
        daemon = subprocess.Popen([programs / "containerd", f"--config={work}/containerd.toml"], stdout=log, stderr=log)
    try:
        ctr = [str(programs / "ctr"), f"--address={state}/containerd.sock", "--namespace=k8s.io"]
        deadline = time.monotonic() + _START_SECONDS
        while subprocess.run([*ctr, "version"], capture_output=True, check=False).returncode != 0:
            if daemon.poll() is not None or time.monotonic() > deadline:
                print((work / "containerd.log").read_text(errors="replace"), file=sys.stderr)
                raise subprocess.CalledProcessError(daemon.poll() or 1, daemon.args)
            time.sleep(_POLL_SECONDS)
        yield ctr
    finally:
        daemon.terminate()
        daemon.wait()


DISKS = Store("disks", _disk_key, _build, "the disk of the lab's nodes has not been built: run `clew-lab cluster build --nodes`", "a node")
"""The present recipe's disk, and those of others. To build it builds all that it is made of."""
