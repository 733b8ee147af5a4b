"""The control plane's programs: keyed by their recipe, whole or absent, built once, and never removed from under a cluster."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from clew_lab.cluster import build, flux_build
from clew_lab.cluster.build import PROGRAMS, linker_flags
from clew_lab.cluster.toolchain import RECIPE
from clew_lab.main import main
from clew_lab.store import NotBuilt, in_use


def stub_build(monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> list[Path]:
    built: list[Path] = []

    def make(target: Path, go_cache: Path) -> None:
        go_cache.mkdir(exist_ok=True)
        built.append(target)
        (target / "etcd").touch()
        if fails:
            raise RuntimeError("no network")

    monkeypatch.setattr(build, "build", make)
    return built


def test_without_programs_the_message_says_what_to_do(cache: Path) -> None:
    with pytest.raises(NotBuilt, match="run `clew-lab cluster build`"):
        PROGRAMS.find()


def test_a_cluster_is_not_brought_up_without_them(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "up"]) == 1
    assert capsys.readouterr().err == (
        "clew-lab: the lab's control plane has not been built: run `clew-lab cluster build` (or `make setup`)\n"
    )


def test_programs_appear_whole_under_their_key(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_build(monkeypatch)
    assert PROGRAMS.find_or_build() == PROGRAMS.find() == cache / "cluster" / PROGRAMS.key()
    assert (PROGRAMS.find() / "etcd").exists()


def test_a_build_that_fails_leaves_no_programs_and_the_next_starts_afresh(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_build(monkeypatch, fails=True)
    with pytest.raises(RuntimeError, match="no network"):
        PROGRAMS.find_or_build()
    with pytest.raises(NotBuilt):
        PROGRAMS.find()
    stub_build(monkeypatch)
    assert [path.name for path in PROGRAMS.find_or_build().iterdir()] == ["etcd"]


def test_two_that_need_the_programs_build_them_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = stub_build(monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: PROGRAMS.find_or_build(), range(2))
    assert one == other
    assert len(built) == 1


def test_clean_removes_programs_of_other_recipes_and_keeps_the_present_ones(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_build(monkeypatch)
    present = PROGRAMS.find_or_build()
    earlier = cache / "cluster" / "0123456789abcdef"
    earlier.mkdir()
    assert PROGRAMS.clean() == [f"removed {earlier}"]
    assert PROGRAMS.find() == present


def test_clean_of_everything_takes_go_s_caches_but_nothing_that_a_cluster_runs_from(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub_build(monkeypatch)
    present = PROGRAMS.find_or_build()
    assert main(["clean"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"
    with in_use(present):
        assert main(["clean", "--all"]) == 0
    assert capsys.readouterr().out == f"kept {present}: a cluster runs from it\nremoved {cache / 'go'}\n"
    assert main(["clean", "--all"]) == 0
    assert capsys.readouterr().out == f"removed {present}\n"


def test_the_key_changes_with_any_file_of_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = PROGRAMS.key()
    shutil.copytree(RECIPE, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(build, "RECIPE", tmp_path)
    assert PROGRAMS.key() == before
    keys = {before}
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for path in files:
        path.write_bytes(path.read_bytes() + b"\n")
        keys.add(PROGRAMS.key())
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "go.mod",
        "go.sum",
        "kubectl.txt",
        "main.go",
        "toolchain.txt",
    ]
    assert len(keys) == 6


class Refusing(BaseHTTPRequestHandler):
    """A module proxy that gives nothing out."""

    def do_GET(self) -> None:
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def refusing_proxy() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_module_that_cannot_be_had_is_named(
    tmp_path: Path, refusing_proxy: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOPROXY", refusing_proxy)
    with pytest.raises(subprocess.CalledProcessError):
        flux_build.build(tmp_path, tmp_path / "cache")
    said = capfd.readouterr().err.splitlines()
    for module in ("github.com/fluxcd/source-controller", "github.com/fluxcd/kustomize-controller"):
        assert f"{module}@v1.9.6: reading {refusing_proxy}/{module}/@v/v1.9.6.zip: 403 Forbidden" in said


def test_the_programs_are_told_the_version_of_kubernetes_that_go_mod_requires() -> None:
    flags = linker_flags("module example.test\n\nrequire (\n\tk8s.io/kubernetes v1.37.2\n)\n").split(" -X ")
    assert flags[0] == "-s -w"
    assert flags[1:7] == [
        "k8s.io/component-base/version.gitVersion=v1.37.2",
        "k8s.io/component-base/version.gitMajor=1",
        "k8s.io/component-base/version.gitMinor=37",
        "k8s.io/component-base/version.gitTreeState=clean",
        "k8s.io/component-base/version.gitCommit=v1.37.2",
        "k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z",
    ]
    assert [flag.replace("client-go/pkg", "component-base") for flag in flags[7:]] == flags[1:7]


def test_a_go_mod_without_kubernetes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^go\.mod does not require a release of k8s\.io/kubernetes$"):
        linker_flags("module example.test\n")
