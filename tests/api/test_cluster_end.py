"""Clusters side by side, those that outlive their command, and the end of each: no process, no open port, no file."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clew_lab.agent import process_tree
from clew_lab.cluster import Cluster, ClusterError, keeper, start_cluster
from clew_lab.image import cache_dir

from tests.kernel.until import until
from tests.unit.process_ends import await_all, ends_of

OWNER = """
import sys
from clew_lab.cluster import start_cluster

with start_cluster() as cluster:
    cluster.start_flux()
    print(*cluster.pids.values(), flush=True)
    sys.stdin.read()
"""


def listens(url: str) -> bool:
    """Whether somebody listens where a URL points."""
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def environment() -> dict[str, str]:
    """What a Python of its own needs to find the lab."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def clew_lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "clew_lab.main", "cluster", *arguments]
    return subprocess.run(argv, env=environment(), capture_output=True, text=True, check=False)


@pytest.fixture
def brought_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What the command line printed when it brought up the cluster `test`, in a cache that has only the programs of the user's.

    The cluster is ended if the test has not done so.
    """
    own = tmp_path / "clew" / "lab"
    own.mkdir(parents=True)
    for shared in ("cluster", "ports"):
        (own / shared).symlink_to(cache_dir() / shared)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = clew_lab("up", "--name", "test")
    assert done.returncode == 0, done.stderr
    yield done.stdout
    clew_lab("down", "--name", "test")


def test_two_clusters_side_by_side_know_nothing_of_each_other(cluster: Cluster) -> None:
    with start_cluster() as other:
        assert other.url != cluster.url
        other.add_nodes(["only-here"])
        assert other.kubectl("get", "nodes", "--output=name").stdout == "node/only-here\n"
        assert cluster.kubectl("get", "nodes", "--output=name").stdout == ""
        refused = other.kubectl("get", "nodes", f"--token={cluster.admin_token}", check=False)
        assert "Unauthorized" in refused.stderr


def test_a_cluster_that_has_ended_leaves_no_process_no_port_and_no_file() -> None:
    with start_cluster() as ended:
        ends = ends_of(ended.pids.values())
        assert len(ends) == 5
        assert listens(ended.url)
    await_all(ends, patience=0)
    assert not listens(ended.url)
    assert not ended.folder.exists()


def test_a_cluster_does_not_outlive_a_process_that_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", OWNER]
    own = environment() | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(argv, env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        ends = ends_of(int(pid) for pid in owner.stdout.readline().split())
        assert len(ends) == 7
        owner.kill()
        await_all(ends)
    until(lambda: list(tmp_path.iterdir()), lambda left: left == [], lambda: f"{tmp_path} still holds the cluster's folder")


def test_a_start_that_fails_tells_which_component_ended_and_what_it_said(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    (folder / "etcd").write_text("a file where etcd wants a folder")
    with pytest.raises(ClusterError, match=r"^etcd has ended; it said:\n(.*\n)*.*not a directory"), start_cluster(folder):
        pass
    assert not folder.exists()


def test_what_the_command_brings_up_stays_until_it_is_told_to_end(brought_up: str) -> None:
    nodes = subprocess.run(["sh", "-c", f"{brought_up}\nkubectl get nodes -o name"], capture_output=True, text=True, check=True)
    assert nodes.stdout.split() == ["node/node-0", "node/node-1", "node/node-2"]
    kubeconfig = keeper.status()["test"]
    assert clew_lab("status").stdout == f"test {kubeconfig}\n"
    again = clew_lab("up", "--name", "test")
    assert again.returncode == 1
    assert again.stderr == "clew-lab: cluster test is up already: `clew-lab cluster down --name test` ends it\n"
    ends = ends_of(process_tree(keeper.pid_of("test")))
    assert len(ends) == 8
    assert clew_lab("down", "--name", "test").stdout == "cluster test has ended\n"
    await_all(ends, patience=5)
    assert not kubeconfig.parent.exists()
    assert clew_lab("status").stdout == "no cluster is up\n"
    no_more = clew_lab("down", "--name", "test")
    assert no_more.returncode == 1
    assert no_more.stderr == "clew-lab: no cluster test is up; `clew-lab cluster status` lists those that are\n"


def test_a_cluster_does_not_outlive_its_keeper_and_the_next_of_its_name_is_fresh(brought_up: str) -> None:
    subprocess.run(["sh", "-c", f"{brought_up}\nkubectl create configmap earlier"], capture_output=True, check=True)
    pid = keeper.pid_of("test")
    ends = ends_of(process_tree(pid))
    os.kill(pid, signal.SIGKILL)
    await_all(ends)
    assert keeper.status() == {}
    use = clew_lab("up", "--name", "test").stdout
    found = subprocess.run(["sh", "-c", f"{use}\nkubectl get configmap earlier"], capture_output=True, text=True, check=False)
    assert found.stderr == 'Error from server (NotFound): configmaps "earlier" not found\n'


def test_a_name_that_cannot_be_a_folder_is_refused() -> None:
    refused = clew_lab("up", "--name", "../elsewhere")
    assert refused.returncode == 1
    assert refused.stderr == "clew-lab: '../elsewhere' cannot name a cluster: use small letters, digits and hyphens within\n"
