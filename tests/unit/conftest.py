"""What several modules of unit tests begin with. No example of hypothesis has a deadline: the machine may be busy with guests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.truth.path_host import Path as RequestPath

settings.register_profile("clew", deadline=None)
settings.load_profile("clew")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's folder in an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "clew" / "lab"


@pytest.fixture(scope="module")
def path() -> Iterator[RequestPath]:
    """The request path of ``bpf/``, compiled for this machine and running."""
    with RequestPath() as running:
        yield running
