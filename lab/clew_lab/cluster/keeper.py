"""`clew-lab cluster up|down|status`: clusters that outlive the command that started them.

`up` leaves a keeper behind: a process that runs a cluster by the same code as the tests do, until it is told to end. The keeper
holds a lock, which the kernel takes from it however it dies; the kernel also says who holds it. So whether a cluster is up is
never a guess.
"""

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO

from clew_lab.cluster.control_plane import ClusterError, start_cluster
from clew_lab.image import cache_dir

__all__ = ["down", "status", "up"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_FLOCK = "hhqqi"  # struct flock of fcntl(2)


def up(name: str) -> Path:
    """Start a cluster of that name and leave it running; return its admin's kubeconfig. Raises :class:`ClusterError`."""
    with _lock(name).open("a") as lock:
        if _holder(lock) is not None:
            raise ClusterError(f"cluster {name} is up already: `clew-lab cluster down --name {name}` ends it")
    log = _base() / f"{name}.log"
    with log.open("wb") as said:
        keeper = subprocess.Popen(
            [sys.executable, "-m", __name__, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    assert keeper.stdout is not None
    with keeper.stdout as stream:
        kubeconfig = stream.readline().decode().strip()
    if not kubeconfig:
        raise ClusterError(f"cluster {name} did not start (status {keeper.wait()}):\n{log.read_text(errors='replace').strip()}")
    return Path(kubeconfig)


def down(name: str) -> None:
    """End that cluster; when this returns, nothing of it is left. Raises :class:`ClusterError` if it is not up."""
    with _lock(name).open("a") as lock:
        pid = _holder(lock)
        if pid is None:
            raise ClusterError(f"no cluster {name} is up; `clew-lab cluster status` lists those that are")
        os.kill(pid, signal.SIGTERM)
        fcntl.lockf(lock, fcntl.LOCK_EX)


def status() -> dict[str, Path]:
    """Return the clusters that are up: the name of each and its admin's kubeconfig."""
    found = {}
    for path in sorted(_base().glob("*.lock")):
        with path.open("a") as lock:
            if _holder(lock) is not None:
                found[path.stem] = _base() / path.stem / "admin.kubeconfig"
    return found


def keep(name: str) -> None:
    """Run a cluster until this process is told to end by SIGTERM. This is the keeper's whole life."""
    with _lock(name).open("a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with start_cluster(_base() / name) as cluster:
            print(cluster.kubeconfig, flush=True)
            signal.pause()


def _holder(lock: IO[str]) -> int | None:
    """Return the pid of the process that holds a lock on that file."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(lock, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


def _base() -> Path:
    return cache_dir() / "clusters"


def _lock(name: str) -> Path:
    """Return the lock file of that name. Raises :class:`ClusterError` for what cannot be one."""
    if not _NAME.fullmatch(name):
        raise ClusterError(f"{name!r} cannot name a cluster: use small letters, digits and hyphens within")
    _base().mkdir(parents=True, exist_ok=True)
    return _base() / f"{name}.lock"


if __name__ == "__main__":
    keep(sys.argv[1])
