"""Whose a cgroup below a pod's is, in folders as runtimes make them."""

from pathlib import Path

import pytest
from clew_agent.container_folders import ContainerFolders

ONE, OTHER = "a1" * 32, "b2" * 32
PODS = {
    "containerd, cgroupfs": ("/kubepods/burstable/podu1", ONE, OTHER),
    "containerd, systemd": ("/kubepods.slice/kubepods-podu1.slice", f"cri-containerd-{ONE}.scope", f"cri-containerd-{OTHER}.scope"),
    "CRI-O, cgroupfs": ("/kubepods/podu1", f"crio-{ONE}", f"crio-{OTHER}"),
    "CRI-O, systemd": ("/kubepods.slice/kubepods-podu1.slice", f"crio-{ONE}.scope/container", f"crio-{OTHER}.scope"),
    "Docker, systemd": ("/kubepods.slice/kubepods-podu1.slice", f"docker-{ONE}.scope", f"docker-{OTHER}.scope/init.scope/deep"),
}


def number(folder: Path) -> int:
    return folder.stat().st_ino & 0xFFFFFFFF


@pytest.mark.parametrize(("pod", "one", "other"), PODS.values(), ids=list(PODS))
def test_layouts(tmp_path: Path, pod: str, one: str, other: str) -> None:
    here = [tmp_path / pod.lstrip("/") / folder for folder in (one, other)]
    for folder in here:
        folder.mkdir(parents=True)
    (here[0] / "cgroup.procs").touch()
    folders = ContainerFolders(tmp_path)
    assert [folders.find(pod, number(folder)) for folder in here] == [ONE, OTHER]
    assert folders.find(pod, number(tmp_path / pod.lstrip("/"))) == ""


@pytest.mark.parametrize("folder", [f"crio-conmon-{ONE}.scope", "systemd", f"kata_{ONE}", f"cri-containerd-{ONE}.scope.old"])
def test_what_is_no_container_is_none_nor_is_what_lies_in_it(tmp_path: Path, folder: str) -> None:
    inner = tmp_path / "podu1" / folder / OTHER
    inner.mkdir(parents=True)
    folders = ContainerFolders(tmp_path)
    assert [folders.find("/podu1", number(found)) for found in (inner, inner.parent)] == ["", ""]


def test_a_container_inside_a_container_is_the_outer_one(tmp_path: Path) -> None:
    inner = tmp_path / "podu1" / ONE / "docker" / OTHER
    inner.mkdir(parents=True)
    assert ContainerFolders(tmp_path).find("/podu1", number(inner)) == ONE


def test_what_was_found_stays_found_and_a_cgroup_of_later_is_looked_for(tmp_path: Path) -> None:
    first, second = tmp_path / "podu1" / ONE, tmp_path / "podu1" / OTHER
    first.mkdir(parents=True)
    folders = ContainerFolders(tmp_path)
    assert folders.find("/podu1", number(first)) == ONE
    gone = number(first)
    second.mkdir()  # before the first goes: a file system gives numbers again at once, which the kernel's cgroups do not
    first.rmdir()
    assert folders.find("/podu1", number(second)) == OTHER
    assert folders.find("/podu1", gone) == ONE


def test_a_pod_that_has_gone(tmp_path: Path) -> None:
    assert ContainerFolders(tmp_path).find("/podu1", 7) == ""


def test_a_look_is_bounded(tmp_path: Path) -> None:
    for count in range(1100):
        (tmp_path / "podu1" / ONE / f"job-{count}").mkdir(parents=True)
    folders = ContainerFolders(tmp_path)
    found = [folders.find("/podu1", number(tmp_path / "podu1" / ONE / f"job-{count}")) for count in range(1100)]
    assert (found.count(ONE), found.count("")) == (1023, 77)
