"""The images, built where they are not in the cache yet, and unpacked once."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from clew_lab.images.build import images

from tests.api.conftest import cluster  # noqa: F401
from tests.images.container import Container, unpacked

VERSION = "0.1.0"


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Container]:
    """`operator` and `agent`."""
    made = images()
    return {part: unpacked(made[f"clew/{part}:{VERSION}"], tmp_path_factory.mktemp(part)) for part in ("operator", "agent")}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder whose content a container finds in its /tmp."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder
