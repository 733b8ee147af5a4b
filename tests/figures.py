"""Figures that tests measure, printed at the end of the one report that there is on the host."""

from collections.abc import Callable

import pytest

__all__ = ["Record", "pytest_terminal_summary"]

Record = Callable[[str, object], None]
"""The fixture `record_property`: its names and values travel with a test's reports."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have recorded."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, []) if report.when == "call"]
    told = [(report.nodeid, name, value) for report in reports for name, value in report.user_properties]
    if told:
        terminalreporter.section("figures")
    for nodeid, name, value in told:
        terminalreporter.line(f"{nodeid.rpartition('/')[2]}: {name}: {value}")
