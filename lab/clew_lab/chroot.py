"""Runs commands inside a root file system, with what a build needs of the host: a network, certificates, /proc and /dev."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["certificates", "run_in"]

_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT")
_SCRIPT = """\
root=$1 mounts=$2
shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$mounts" -gt 0 ]; do
    mount --bind "$1" "$root$2"
    shift 2
    mounts=$((mounts - 1))
done
exec chroot "$root" "$@"
"""


def run_in(root: Path, *argv: str, mounts: Mapping[Path, str] | None = None, stdout: int | None = None) -> str:
    """Run a command inside the root file system; return what it wrote if `stdout` is a pipe.

    `mounts` are folders and files of the host, each with the place where the command sees it; the place must exist. All mounts go with
    the command. Raises ``subprocess.CalledProcessError`` when it fails.
    """
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_CERT": _CA_BUNDLE,
    } | {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    places = [str(part) for mount in (mounts or {}).items() for part in mount]
    command = ["unshare", "--mount", "sh", "-ec", _SCRIPT, "sh", str(root), str(len(places) // 2), *places, *argv]
    return subprocess.run(command, check=True, env=environment, stdout=stdout, text=True).stdout or ""


def certificates() -> dict[Path, str]:
    """The mount by which pip in a root file system trusts what the host trusts."""
    bundle = Path(os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or _CA_BUNDLE)
    return {bundle: _CA_BUNDLE} if bundle.exists() else {}
