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
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from clew_lab.cluster.build import PROGRAMS
from clew_lab.cluster.components import ADMIN, NODE_LEASE_SECONDS, Files
from clew_lab.cluster.control_plane import ClusterError, start_cluster
from clew_lab.cluster.ports import NoPorts
from clew_lab.image import ImageMissing, cache_dir
from clew_lab.nodes.machine import LabNode, nodes_below
from clew_lab.nodes.starting import start_nodes
from clew_lab.store import NotBuilt

__all__ = ["down", "nodes", "pid_of", "status", "up"]

_NODE_LEASE_SECONDS = 60  # a real node that is lost is noticed within a minute, and an emulated one may be slow
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_FLOCK = "hhqqi"  # struct flock of fcntl(2)


def up(name: str, kernels: Sequence[str], played: int) -> Path:
    """Start a cluster of that name and leave it running; return its admin's kubeconfig.

    It has a real node for each of `kernels` (a series, such as 6.12), and `played` nodes that kwok plays.

    Raises :class:`ClusterError` and :class:`clew_lab.store.NotBuilt`.
    """
    PROGRAMS.find()
    with _lock(name).open("a") as lock:
        if _holder(lock) is not None:
            raise ClusterError(f"cluster {name} is up already: `clew-lab cluster down --name {name}` ends it")
    log = _base() / f"{name}.log"
    with log.open("wb") as said:
        keeper = subprocess.Popen(
            [sys.executable, "-m", __name__, name, str(played), *kernels],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    assert keeper.stdout is not None
    with keeper.stdout as stream:
        kubeconfig = stream.readline().decode().strip()
    if not kubeconfig:
        keeper.wait()
        raise ClusterError(f"cluster {name} did not start: {log.read_text(errors='replace').strip()}")
    return Path(kubeconfig)


def down(name: str) -> None:
    """End that cluster; when this returns, nothing of it is left. Raises :class:`ClusterError` if it is not up."""
    with _lock(name).open("a") as lock:
        os.kill(pid_of(name), signal.SIGTERM)
        fcntl.lockf(lock, fcntl.LOCK_EX)


def status() -> dict[str, Path]:
    """Return the clusters that are up: the name of each and its admin's kubeconfig."""
    found = {}
    for path in sorted(_base().glob("*.lock")):
        with path.open("a") as lock:
            pid = _holder(lock)
        if pid is not None:
            found[path.stem] = Files(_folder(path.stem, pid)).kubeconfig(ADMIN)
    return found


def pid_of(name: str) -> int:
    """Return the pid of the keeper of that cluster. Raises :class:`ClusterError` if it is not up."""
    with _lock(name).open("a") as lock:
        pid = _holder(lock)
    if pid is None:
        raise ClusterError(f"no cluster {name} is up; `clew-lab cluster status` lists those that are")
    return pid


def nodes(name: str) -> dict[str, LabNode]:
    """Return the real nodes of that cluster, by name. Raises :class:`ClusterError` if it is not up."""
    return nodes_below(_folder(name, pid_of(name)))


def keep(name: str, kernels: Sequence[str], played: int) -> None:
    """Run a cluster until this process is told to end by SIGTERM. This is the keeper's whole life."""
    with _lock(name).open("a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        node_lease = _NODE_LEASE_SECONDS if kernels else NODE_LEASE_SECONDS
        with start_cluster(_folder(name, os.getpid()), node_lease) as cluster:
            cluster.add_nodes(played)
            if kernels:
                start_nodes(cluster, kernels)
            print(cluster.kubeconfig, flush=True)
            signal.pause()


def _holder(lock: IO[str]) -> int | None:
    """Return the pid of the process that holds a lock on that file."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(lock, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


def _base() -> Path:
    return cache_dir() / "clusters"


def _folder(name: str, pid: int) -> Path:
    """Return the folder of the cluster of that keeper: another for each, so that no end of one reaches the next of its name."""
    return _base() / f"{name}.{pid}"


def _lock(name: str) -> Path:
    """Return the lock file of that name. Raises :class:`ClusterError` for what cannot be one."""
    if not _NAME.fullmatch(name):
        raise ClusterError(f"{name!r} cannot name a cluster: use small letters, digits and hyphens within")
    _base().mkdir(parents=True, exist_ok=True)
    return _base() / f"{name}.lock"


if __name__ == "__main__":
    try:
        keep(sys.argv[1], sys.argv[3:], int(sys.argv[2]))
    except (ClusterError, ImageMissing, NoPorts, NotBuilt) as problem:
        raise SystemExit(str(problem)) from None
