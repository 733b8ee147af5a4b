"""The operator's and the agent's image: what is in them, and that what the chart calls works in them on a read-only root file system."""

import json
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from clew_lab.cluster import Cluster
from clew_lab.images import product
from clew_lab.images.build import images
from clew_lab.images.debian import STATUS_FOLDER
from clew_lab.images.oci import digest_of

from tests.api.operators import LEASE_SECONDS, Operator, rig
from tests.api.rendered import rendered
from tests.figures import Record
from tests.images.conftest import VERSION
from tests.images.container import Container

Containers = Mapping[str, Container]
both = pytest.mark.parametrize("part", ["operator", "agent"])
WORKLOADS = {"operator": ("Deployment", "clew-operator"), "agent": ("DaemonSet", "clew-agent")}

# Has the loader map each program and library with all that it needs; prints how many there were.
LINKED = """\
import pathlib, subprocess
(loader,) = pathlib.Path("/usr/lib64").glob("ld-linux*")
found = []
for path in pathlib.Path("/usr").rglob("*"):
    if path.is_file() and not path.is_symlink() and path.open("rb").read(4) == b"\\x7fELF" and path.name != loader.resolve().name:
        done = subprocess.run([loader, "--list", path], capture_output=True, text=True)
        assert not done.returncode, f"{path}: {done.stdout}{done.stderr}"
        found.append(path)
print(len(found))
"""

# Compiles the request path with no kernel headers, as the agent does; prints its programs and its licence, and what was kept of it.
HEADERLESS = """\
import os
from pathlib import Path
from clew_agent.kernel.btf import read_vmlinux
from clew_agent.loader.cache import Cache
from clew_agent.loader.load import Loader
from clew_agent.program import inspect
from clew_agent.request_path import request_path
btf = read_vmlinux()
request = request_path(btf, inspect(btf), os.uname().release, Path("/tmp/tree"), fionread=True)
compiled = Loader(Cache(Path("/tmp/programs"))).compile(request.source)
print(*(one.name for one in compiled.programs), compiled.license, len(list(Path("/tmp/programs").iterdir())))
"""
PATH_PROGRAMS = {
    "clew_answer",
    "clew_connection",
    "clew_inject",
    *(f"kfunc__vmlinux__{name}" for name in ("tcp_close", "tcp_sendmsg")),
    *(
        f"kretfunc__vmlinux__{name}"
        for name in ("alloc_pid", "inet_ioctl", "sock_recvmsg", "tcp_bpf_sendmsg", "tcp_sendmsg", "tcp_splice_read")
    ),
    "raw_tracepoint__sched_process_exit",
}
"""Those of every kernel; one that has ``tcp_sendpage`` has two more."""

INSTALLED = """\
import importlib.metadata, json
print(json.dumps({one.name: one.version for one in importlib.metadata.distributions(path=["/usr/local/lib/python3.13/dist-packages"])}))
"""


def pod(part: str) -> dict[str, Any]:
    spec = rendered()[WORKLOADS[part]]["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


@both
def test_what_the_chart_calls_is_there(containers: Containers, files: Path, part: str) -> None:
    (container,) = pod(part)["containers"]
    command = container["command"]
    assert containers[part].config["Entrypoint"] == command[:1]
    assert containers[part].run(*command, "--help", files=files).startswith(f"usage: {command[0]} run ")


@both
def test_it_runs_as_whom_the_chart_says(containers: Containers, files: Path, part: str) -> None:
    security = [pod(part).get("securityContext", {}), pod(part)["containers"][0]["securityContext"]]
    (user,) = {one["runAsUser"] for one in security if "runAsUser" in one}
    found = containers[part].python("import os, pwd; print(os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_name)", files)
    assert found.split() == [str(user), str(user), {0: "root", 65532: "clew"}[user]]


def test_the_operator_works_from_its_image(containers: Containers, cluster: Cluster, files: Path) -> None:
    (files / "kubeconfig").write_text(cluster.kubectl("config", "view", "--raw", "--flatten").stdout)
    flags = ("--kubeconfig=/tmp/kubeconfig", f"--lease-duration={LEASE_SECONDS}s")
    log = cluster.folder / "operator-of-the-image.log"
    with rig(cluster) as running, log.open("wb") as file:
        command = containers["operator"].command("clew-operator", "run", *flags, files=files)
        operator = Operator(subprocess.Popen(command, stdout=file, stderr=file), log)
        running.operators.append(operator)
        operator.until_it_leads()
        running.apply("from-the-image", {})
        status = running.until("from-the-image", lambda status: status.get("observedGeneration") == 1)
        assert status["revision"].startswith("from-the-image-")


def test_the_agent_compiles_without_headers(containers: Containers, files: Path) -> None:
    *programs, license, kept = containers["agent"].python(HEADERLESS, files).split()
    assert ({*programs} - {"kretfunc__vmlinux__tcp_sendpage", "kretfunc__vmlinux__tcp_bpf_sendpage"}, license, kept) == (
        PATH_PROGRAMS,
        "GPL",
        "1",
    )


def test_the_operator_has_no_compiler(containers: Containers, files: Path) -> None:
    assert list(containers["operator"].root.rglob("*LLVM*")) == []
    assert "ModuleNotFoundError" in containers["operator"].python("try: import bcc\nexcept ImportError as error: print(repr(error))", files)


@both
def test_every_library_finds_what_it_needs(containers: Containers, files: Path, part: str) -> None:
    assert int(containers[part].python(LINKED, files)) > 100


@both
def test_certificates_are_there(containers: Containers, files: Path, part: str) -> None:
    found = containers[part].python("import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])", files)
    assert int(found) > 100


@both
def test_no_shell_no_package_manager_no_program_with_rights(containers: Containers, part: str) -> None:
    root = containers[part].root
    programs = {path.name for folder in ("usr/bin", "usr/sbin", "usr/local/bin") for path in (root / folder).iterdir()}
    assert {name for name in programs if not name.startswith("python3")} <= {f"clew-{part}"}
    modes = {path: path.lstat().st_mode for path in root.rglob("*")}
    assert [path for path, mode in modes.items() if mode & (stat.S_ISUID | stat.S_ISGID)] == []
    free = {path.relative_to(root).as_posix() for path, mode in modes.items() if mode & stat.S_IWOTH and not stat.S_ISLNK(mode)}
    assert free == {"tmp", "var/tmp"}


@both
def test_the_list_of_contents_is_what_is_installed(containers: Containers, files: Path, part: str) -> None:
    container = containers[part]
    inside = (container.root / container.config["Labels"]["dev.clew.sbom"].lstrip("/")).read_text()
    assert images()[f"clew/{part}:{VERSION}"].with_suffix(".spdx.json").read_text() == inside
    urls = [package["externalRefs"][0]["referenceLocator"] for package in json.loads(inside)["packages"]]
    debian = {url.removeprefix("pkg:deb/debian/").partition("@")[0].replace("%2B", "+") for url in urls if url.startswith("pkg:deb/")}
    assert debian == {path.name for path in (container.root / STATUS_FOLDER).iterdir()}
    installed = json.loads(container.python(INSTALLED, files))
    python = {f"pkg:pypi/{name.lower().replace('_', '-').replace('.', '-')}@{version}" for name, version in installed.items()}
    assert {url for url in urls if url.startswith("pkg:pypi/")} == python


@both
def test_whoever_it_runs_as_can_read_it(containers: Containers, part: str) -> None:
    root = containers[part].root
    assert [path for path in root.rglob("*") if not path.is_symlink() and not path.stat().st_mode & stat.S_IROTH] == [root / "root"]


@both
def test_its_size(record_property: Record, part: str) -> None:
    size = images()[f"clew/{part}:{VERSION}"].stat().st_size
    record_property(f"image of the {part}, MB", round(size / 1e6, 1))
    assert size < {"operator": 170e6, "agent": 410e6}[part]


def test_every_licence_is_there(containers: Containers) -> None:
    root = containers["agent"].root
    packages = [path.name for path in (root / STATUS_FOLDER).iterdir()]
    assert [name for name in packages if not (root / "usr/share/doc" / name / "copyright").exists()] == []


@both
def test_the_same_input_gives_the_same_digest(tmp_path: Path, part: str) -> None:
    (recipe,) = (one for one in product.recipes() if one.name == f"clew/{part}:{VERSION}")
    recipe.write(tmp_path / "again.tar")
    assert digest_of(tmp_path / "again.tar") == digest_of(images()[recipe.name])
