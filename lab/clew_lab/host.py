"""What the host itself must have: Debian packages, installed when they are missing and this user may do so."""

import os
import shutil
import subprocess
from pathlib import Path

from clew_lab.config import HOST_PACKAGES

_KEPT = ("HOME", "XDG_CACHE_HOME", "http_proxy", "https_proxy", "PIP_CERT")

__all__ = ["HostUnready", "as_root", "ensure_host_packages", "missing_host_packages"]


class HostUnready(RuntimeError):
    """The host lacks something that this user cannot give it."""


def missing_host_packages() -> list[str]:
    """Return the Debian packages that the lab needs and the host has not got."""
    return [package for package, file in HOST_PACKAGES.items() if not Path(file).exists()]


def ensure_host_packages() -> None:
    """Install what is missing; `HostUnready` where there is no apt-get, or no way to become root."""
    missing = missing_host_packages()
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise HostUnready(f"the lab needs a Debian host with the packages {' '.join(missing)}; there is no apt-get here")
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(as_root(install), env=environment, check=False).returncode == 0:
        return
    subprocess.run(as_root(["apt-get", "update"]), env=environment, check=False)
    done = subprocess.run(as_root(install), env=environment, check=False)
    if done.returncode != 0:
        raise HostUnready(f"`{' '.join(install)}` failed with status {done.returncode}")


def as_root(argv: list[str]) -> list[str]:
    """Return the command as root would run it; `HostUnready` when this user is neither root nor has sudo."""
    if os.geteuid() == 0:
        return argv
    if shutil.which("sudo") is None:
        raise HostUnready(f"`{' '.join(argv)}` needs root: run it yourself, or install sudo")
    kept = [f"{name}={os.environ[name]}" for name in _KEPT if name in os.environ]
    return ["sudo", "env", f"PATH={os.environ['PATH']}:/usr/sbin:/sbin", *kept, *argv]
