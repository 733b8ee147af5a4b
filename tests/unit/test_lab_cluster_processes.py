"""A cluster's processes: none outlives the group, nor the process that started it, however that one ends."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from clew_lab.cluster.processes import ProcessGroup

from tests.kernel.until import until
from tests.unit.process_ends import await_all, ends_of

OWNER = """
import sys
from pathlib import Path
from clew_lab.cluster.processes import ProcessGroup

with ProcessGroup(Path(sys.argv[1])) as group:
    group.start("one", ["sleep", "600"])
    group.start("two", ["sleep", "600"])
    print(*group.pids().values(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "group"
    made.mkdir()
    return made


def parent_of_a_child(fifo: Path) -> list[str]:
    """A command that tells the pid of its child through a fifo, and waits for it."""
    os.mkfifo(fifo)
    return ["sh", "-c", f"sleep 600 & echo $! > {fifo}; wait"]


def test_leaving_the_group_ends_its_processes_and_theirs_and_removes_their_folder(folder: Path, tmp_path: Path) -> None:
    with ProcessGroup(folder) as group:
        group.start("parent", parent_of_a_child(tmp_path / "child"))
        ends = ends_of([group.pids()["parent"], int((tmp_path / "child").read_text())])
    await_all(ends)
    assert not folder.exists()


def test_nothing_outlives_an_owner_that_is_killed(folder: Path) -> None:
    argv = [sys.executable, "-c", OWNER, str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        ends = ends_of(int(pid) for pid in owner.stdout.readline().split())
        assert len(ends) == 2
        owner.kill()
        await_all(ends)
    until(folder.exists, lambda there: not there, lambda: f"{folder} is still there")


def test_one_process_is_ended_and_started_again_and_its_log_goes_on(folder: Path, tmp_path: Path) -> None:
    with ProcessGroup(folder) as group:
        group.start("other", ["sleep", "600"])
        group.start("again", ["sh", "-c", f"echo once; exec {shlex.join(parent_of_a_child(tmp_path / 'child'))}"])
        assert (tmp_path / "child").read_text()
        group.kill("again")
        assert group.ended() == ["again"]
        group.start("again", ["echo", "more"])
        await_all(ends_of([group.pids()["again"]]))
        assert group.ended() == ["again"]
        assert group.log("again").read_text() == "once\nmore\n"


def test_a_program_that_is_not_there_is_told_and_leaves_nothing(folder: Path) -> None:
    with ProcessGroup(folder) as group, pytest.raises(FileNotFoundError, match="no-such-program"):
        group.start("absent", ["/no-such-program"])
    assert group.pids() == {}
