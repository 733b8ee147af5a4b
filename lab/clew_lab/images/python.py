"""Puts Python packages into an image: the locked ones by hash, and our own wheel; compiled beforehand, since nothing can be written later.

Compiled files say "unchecked", so they hold whatever the time of their source is, which an image does not keep.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from clew_lab.chroot import certificates, run_in
from clew_lab.config import GUEST_PYTHON
from clew_lab.images.debian import Workshop

__all__ = ["build_wheel", "compile_all", "install_requirements", "install_wheel", "site_packages"]

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_GLIBC = 41
"""Debian 13 has glibc 2.41: wheels for it and all older ones will do."""

# The Kubernetes client has a module for each kind and group of the API, some nine hundred, and imports one when it is asked for.
_SELDOM = r"/kubernetes/client/(api|models)/"

_INSTALL = (GUEST_PYTHON, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-compile", "--no-deps", "--target")


def site_packages(root: Path) -> Path:
    """Where Debian's Python looks for packages that are not Debian's."""
    (library,) = (root / "usr/lib").glob("python3.*")
    return root / "usr/local/lib" / library.name / "dist-packages"


def install_requirements(target: Path, requirements: Path, workshop: Workshop, architecture: str) -> None:
    """Install what a lock file names into the folder `target`, ready-made for the architecture."""
    shutil.copy(requirements, workshop.work / "requirements.txt")
    machine = _MACHINES[architecture]
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(_GLIBC, 4, -1)] + [f"--platform=manylinux2014_{machine}"]
    locked = ("--only-binary=:all:", "--require-hashes", "--requirement=/tmp/requirements.txt")
    mounts = {workshop.work: "/tmp", Path("/etc/resolv.conf"): "/etc/resolv.conf", **certificates()}
    run_in(workshop.root, *_INSTALL, f"/tmp/{target.relative_to(workshop.work)}", *platforms, *locked, mounts=mounts)
    _tidy(target)


def build_wheel(checkout: Path, folder: Path) -> Path:
    """Build the wheel of a checkout; return its path."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-cache-dir", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(checkout)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install_wheel(target: Path, wheel: Path, workshop: Workshop) -> None:
    """Install a wheel that lies in the work folder into the folder `target`."""
    paths = (f"/tmp/{path.relative_to(workshop.work)}" for path in (target, wheel))
    workshop.run(*_INSTALL, *paths)
    _tidy(target)


def _tidy(target: Path) -> None:
    """Remove what pip writes of its own: programs for its own interpreter, and where it found a wheel."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for said in target.glob("*.dist-info/direct_url.json"):
        said.unlink()


def compile_all(root: Path, workshop: Workshop) -> None:
    """Compile the Python files below `root`; tracebacks will name them as the image does."""
    inside = f"/tmp/{root.relative_to(workshop.work)}"
    compiling = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-x", _SELDOM, "-s", inside, "-p", "/")
    workshop.run(GUEST_PYTHON, *compiling, inside)
