"""What holds for all tests: the figures that they record end up in the report."""

from tests.figures import pytest_terminal_summary  # noqa: F401
