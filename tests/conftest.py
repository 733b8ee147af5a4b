"""What holds for all tests: the figures that they record end up in the report, and guests run kernel tests beside others."""

import pytest
from clew_lab.kernel_tests import start_guests_beside

from tests.figures import pytest_terminal_summary  # noqa: F401


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start the guests of the kernel tests in time."""
    start_guests_beside(item)
