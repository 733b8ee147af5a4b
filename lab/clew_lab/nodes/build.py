"""How a node's programs are built from Go modules: kubelet, kube-proxy, containerd with what belongs to it, and CoreDNS.

Three modules, each with the releases that its programs were made with. Kubernetes' is required at the control plane's versions, so
that what both have in common is compiled once. The text of this file is part of the recipe's key.
"""

import subprocess
from pathlib import Path

from clew_lab.cluster.build import linker_flags
from clew_lab.cluster.toolchain import compile_command, go_cache, go_environment, go_program
from clew_lab.image import CHECKOUT
from clew_lab.keys import files_below, key_of
from clew_lab.store import Store

__all__ = ["PROGRAMS", "recipe_key"]

_RECIPE = Path(__file__).with_name("recipe")
_KUBERNETES = ("k8s.io/kubernetes/cmd/kubelet", "k8s.io/kubernetes/cmd/kube-proxy")
_CONTAINERD = tuple(f"github.com/containerd/containerd/v2/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr"))
_NO_SNAPSHOTTERS = "no_btrfs,no_devmapper,no_zfs"  # which need libraries of C


def recipe_key() -> str:
    """Return the hash of the files that the programs are made from, 16 hex digits."""
    return key_of(files_below(CHECKOUT, ("lab/clew_lab/nodes/build.py", "lab/clew_lab/nodes/recipe")))


def _build(target: Path) -> None:
    versions = linker_flags((_RECIPE / "kubernetes/go.mod").read_text())
    _compile(target, "kubernetes", *_KUBERNETES, linker=versions)
    _compile(target, "containerd", "-tags", _NO_SNAPSHOTTERS, *_CONTAINERD)
    _compile(target, "coredns", ".")


def _compile(target: Path, module: str, *what: str, linker: str = "-s -w") -> None:
    go = go_program(go_cache(), _RECIPE / module / "go.mod")
    argv = [*compile_command(str(go), linker), "-o", f"{target}/", *what]
    subprocess.run(argv, cwd=_RECIPE / module, env=go_environment(go_cache()), check=True)


PROGRAMS = Store(
    "nodes",
    recipe_key,
    _build,
    "the programs of the lab's nodes have not been built: run `clew-lab cluster build --nodes`",
    "a node",
)
