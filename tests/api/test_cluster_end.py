"""Clusters side by side, those that outlive their command, and the end of each: no process, no open port, no file."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clew_lab.agent import process_tree
from clew_lab.cluster import Cluster, ClusterError, keeper, start_cluster

from tests.unit.process_ends import await_all, ends_of

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
OWNER = """
import sys
from clew_lab.cluster import start_cluster

with start_cluster() as cluster:
    print(*cluster.pids.values(), flush=True)
    sys.stdin.read()
"""


def listens(url: str) -> bool:
    """Whether somebody listens where a URL points."""
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def clew_lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "clew_lab.main", "cluster", *arguments]
    return subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@contextmanager
def brought_up() -> Iterator[tuple[str, str]]:
    """The name of a cluster that the command line has brought up, and what it printed; ended if the body has not done so."""
    name = f"test-{os.getpid()}"
    done = clew_lab("up", "--name", name)
    assert done.returncode == 0, done.stderr
    try:
        yield name, done.stdout
    finally:
        clew_lab("down", "--name", name)


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
    environment = ENVIRONMENT | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        ends = ends_of(int(pid) for pid in owner.stdout.readline().split())
        assert len(ends) == 5
        owner.kill()
        await_all(ends)


def test_a_start_that_fails_tells_which_component_ended_and_what_it_said(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    (folder / "etcd").write_text("a file where etcd wants a folder")
    with pytest.raises(ClusterError, match=r"^etcd has ended; it said:\n(.*\n)*.*not a directory"), start_cluster(folder):
        pass
    assert not folder.exists()


def test_what_the_command_brings_up_stays_until_it_is_told_to_end() -> None:
    with brought_up() as (name, line):
        ready = subprocess.run(["sh", "-c", f"{line}\nkubectl get --raw /readyz"], capture_output=True, text=True, check=True)
        assert ready.stdout == "ok"
        kubeconfig = keeper.status()[name]
        assert f"{name} {kubeconfig}" in clew_lab("status").stdout.splitlines()
        again = clew_lab("up", "--name", name)
        assert again.returncode == 1
        assert again.stderr == f"clew-lab: cluster {name} is up already: `clew-lab cluster down --name {name}` ends it\n"
        ends = ends_of(process_tree(keeper.pid_of(name)))
        assert len(ends) == 7
        assert clew_lab("down", "--name", name).stdout == f"cluster {name} has ended\n"
        await_all(ends, patience=5)
        assert not kubeconfig.parent.exists()
        assert name not in keeper.status()
        assert (
            clew_lab("down", "--name", name).stderr
            == f"clew-lab: no cluster {name} is up; `clew-lab cluster status` lists those that are\n"
        )


def test_a_cluster_does_not_outlive_its_keeper_and_the_next_of_its_name_is_fresh() -> None:
    with brought_up() as (name, line):
        subprocess.run(["sh", "-c", f"{line}\nkubectl create configmap earlier"], capture_output=True, check=True)
        pid = keeper.pid_of(name)
        ends = ends_of(process_tree(pid))
        os.kill(pid, signal.SIGKILL)
        await_all(ends)
        assert name not in keeper.status()
        assert clew_lab("up", "--name", name).returncode == 0
        found = subprocess.run(["sh", "-c", f"{line}\nkubectl get configmap earlier"], capture_output=True, text=True, check=False)
        assert "NotFound" in found.stderr


def test_a_name_that_cannot_be_a_folder_is_refused() -> None:
    refused = clew_lab("up", "--name", "../elsewhere")
    assert refused.returncode == 1
    assert refused.stderr == "clew-lab: '../elsewhere' cannot name a cluster: use small letters, digits and hyphens within\n"
