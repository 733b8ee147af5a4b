"""What docs/lab.md and CONTRIBUTING.md tell to type to have a cluster to look around in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from clew_lab.image import cache_dir

from tests.docs.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Its cache has only the programs of the user's, so that clusters of the same names do not meet; those left are ended."""
    own = tmp_path / "cache/clew/lab"
    own.mkdir(parents=True)
    for shared in ("cluster", "ports"):
        (own / shared).symlink_to(cache_dir() / shared)
    folder = tmp_path / "reader"
    folder.mkdir()
    made = Terminal(folder, {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    yield made
    for name in ("clew", "second"):
        made.run(f"clew-lab cluster down --name {name}")


def test_clusters_by_hand(terminal: Terminal) -> None:
    export = terminal.documented("clew-lab cluster up --played-nodes 3").strip()
    assert terminal.documented('eval "$(clew-lab cluster up --name second)"') == ""
    status = terminal.documented("clew-lab cluster status").splitlines()
    assert [line.split()[0] for line in status] == ["clew", "second"]
    assert terminal.documented("clew-lab cluster down --name second") == "cluster second has ended\n"
    nodes = terminal.documented("kubectl get nodes", {"kubectl": f"{export}; kubectl"})
    assert len(nodes.splitlines()) == 4
    assert terminal.documented("clew-lab cluster down") == "cluster clew has ended\n"


def test_one_to_look_around_in(terminal: Terminal) -> None:
    nodes = terminal.documented('eval "$(.venv/bin/clew-lab cluster up)" && kubectl get nodes')
    assert [line.split()[:2] for line in nodes.splitlines()[1:]] == [[f"node-{number}", "Ready"] for number in range(3)]
    terminal.documented("clew-lab cluster down")
