"""A cluster's processes: none outlives the group, nor the process that started it, however that one ends."""

import os
import select
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from clew_lab.cluster.processes import ProcessGroup

OWNER = """
import sys, time
from pathlib import Path
from clew_lab.cluster.processes import ProcessGroup

with ProcessGroup(Path(sys.argv[1])) as group:
    group.start("one", ["sleep", "600"])
    group.start("two", ["sleep", "600"])
    print(*group.pids().values(), flush=True)
    sys.stdin.read()
"""


def parent_of_a_child(fifo: Path) -> list[str]:
    """A command that tells the pid of its child through a fifo, and waits for it."""
    os.mkfifo(fifo)
    return ["sh", "-c", f"sleep 600 & echo $! > {fifo}; wait"]


def all_end(pids: Iterable[int]) -> list[int]:
    """Descriptors that become readable when these processes end (pidfd_open(2))."""
    return [os.pidfd_open(pid) for pid in pids]


def await_all(descriptors: list[int]) -> None:
    waiting = set(descriptors)
    while waiting:
        ended, _, _ = select.select(list(waiting), [], [], 30)
        assert ended, "processes that should have ended still run"
        waiting.difference_update(ended)
    for descriptor in descriptors:
        os.close(descriptor)


def test_leaving_the_group_ends_its_processes_and_theirs(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as group:
        group.start("parent", parent_of_a_child(tmp_path / "child"))
        ends = all_end([group.pids()["parent"], int((tmp_path / "child").read_text())])
    await_all(ends)


def test_no_process_outlives_an_owner_that_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | path_to_the_lab()) as owner:
        assert owner.stdout is not None
        ends = all_end(int(pid) for pid in owner.stdout.readline().split())
        assert len(ends) == 2
        owner.kill()
        await_all(ends)


def test_one_process_is_ended_and_started_again_and_its_log_goes_on(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as group:
        group.start("other", ["sleep", "600"])
        group.start("again", ["sh", "-c", f"echo once; exec {shlex.join(parent_of_a_child(tmp_path / 'child'))}"])
        assert (tmp_path / "child").read_text()
        group.kill("again")
        assert group.ended("again")
        group.start("again", ["echo", "more"])
        await_all(all_end([group.pids()["again"]]))
        assert group.ended("again")
        assert group.log("again").read_text() == "once\nmore\n"
        assert not group.ended("other")


def test_a_program_that_is_not_there_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as group, pytest.raises(FileNotFoundError, match="no-such-program"):
        group.start("absent", ["/no-such-program"])
    assert group.pids() == {}


def path_to_the_lab() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(sys.path)}
