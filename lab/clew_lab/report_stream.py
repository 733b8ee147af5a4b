"""A pytest plugin for guests: every report goes out as a JSON line at once, to the file descriptor that CLEW_REPORT_FD names."""

import json
import os
from typing import Any, TextIO

import pytest

__all__ = ["ReportStream", "pytest_configure"]


class ReportStream:
    """Writes what the host needs to know about each test: that it starts, its reports, that it is done."""

    def __init__(self, config: pytest.Config, stream: TextIO) -> None:
        """Write to `stream`; `config` knows how reports are serialized."""
        self._config = config
        self._stream = stream

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test starts."""
        self._write({"start": nodeid})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One of its phases has ended."""
        self._write({"report": self._config.hook.pytest_report_to_serializable(config=self._config, report=report)})

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Nothing more will come from it."""
        self._write({"done": nodeid})

    def _write(self, message: dict[str, Any]) -> None:
        self._stream.write(json.dumps(message) + "\n")
        self._stream.flush()


def pytest_configure(config: pytest.Config) -> None:
    """Open the stream, so that no child of a test inherits it."""
    descriptor = int(os.environ["CLEW_REPORT_FD"])
    os.set_inheritable(descriptor, False)
    stream = os.fdopen(descriptor, "w", encoding="utf-8")
    config.add_cleanup(stream.close)
    config.pluginmanager.register(ReportStream(config, stream), "clew-report-stream")
