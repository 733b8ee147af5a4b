"""The command line: a second cluster with a real node, beside the other tests' one, to its end without a trace."""

import os
import re
import subprocess
import sys

from clew_lab.agent import process_tree
from clew_lab.cluster import Cluster, keeper

from tests.unit.process_ends import await_all, ends_of

NAME = "beside"


def clew_lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "clew_lab.main", "cluster", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def test_a_cluster_is_brought_up_with_a_real_node_and_ended_without_a_trace(cluster: Cluster) -> None:
    up = clew_lab("up", "--name", NAME, "--nodes", "1", "--kernel", "6.12", "--played-nodes", "1")
    try:
        assert up.returncode == 0, up.stderr
        get = "kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.status.nodeInfo.kubeletVersion}{\"\\n\"}{end}'"
        nodes = subprocess.run(["sh", "-c", f"{up.stdout}\n{get}"], capture_output=True, text=True, check=True)
        assert nodes.stdout.splitlines() == ["node-0 kwok-0.8.0", "worker-1 v1.37.2"]
        release = clew_lab("node", "--name", NAME, "worker-1", "run", "--", "uname", "-r")
        assert re.fullmatch(r"6\.12\.\S+\n", release.stdout), release.stderr
        unknown = clew_lab("node", "--name", NAME, "worker-7", "reboot")
        assert unknown.stderr == "clew-lab: no node worker-7 in this cluster; there are: worker-1\n"
        folder = keeper.status()[NAME].parent
        ends = ends_of(process_tree(keeper.pid_of(NAME)))
    finally:
        down = clew_lab("down", "--name", NAME)
    assert down.stdout == f"cluster {NAME} has ended\n"
    await_all(ends, patience=5)
    assert not folder.exists()
    assert cluster.kubectl("get", "nodes", "--output=name").stdout == ""
