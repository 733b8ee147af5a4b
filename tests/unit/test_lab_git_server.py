"""The git repository that the lab serves: what is committed can be fetched by git's own client, and nothing can be pushed."""

import subprocess
from pathlib import Path

from clew_lab.git_server import serve_repository


def git(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *args], capture_output=True, text=True, check=False)


def test_commits_can_be_fetched_and_reverted(tmp_path: Path) -> None:
    with serve_repository(tmp_path / "served") as repository:
        first = repository.commit("policies/one.yaml", "size: 1\n")
        copy = tmp_path / "copy"
        assert git("clone", "--quiet", "--branch=main", repository.url, str(copy)).stderr == ""
        assert (copy / "policies/one.yaml").read_text() == "size: 1\n"
        second = repository.commit("policies/one.yaml", "size: 2\n")
        third = repository.revert()
        assert git("-C", str(copy), "pull", "--quiet").stderr == ""
        assert git("-C", str(copy), "log", "--format=%H").stdout.split() == [third, second, first]
        assert (copy / "policies/one.yaml").read_text() == "size: 1\n"


def test_nothing_can_be_pushed_and_other_repositories_are_not_found(tmp_path: Path) -> None:
    with serve_repository(tmp_path / "served") as repository:
        repository.commit("one.yaml", "")
        copy = tmp_path / "copy"
        git("clone", "--quiet", repository.url, str(copy))
        pushed = git("-C", str(copy), "push", "origin", "main:other")
        assert (pushed.returncode, "403" in pushed.stderr) == (128, True)
        missing = git("ls-remote", f"{repository.url}-2")
        assert (missing.returncode, "not found" in missing.stderr) == (128, True)
