"""Guest side of the kernel tests: the same tests, on the kernel that runs here, each with a time limit.

`tests/kernel/conftest.py` takes its hooks from this module in a guest, so that ids are the same there as on the host, and so that
a test that hangs costs its own time only.
"""

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from clew_lab.guest import KERNEL_VARIABLE
from clew_lab.kernel_tests import item_limit, parametrize_kernel

__all__ = ["pytest_generate_tests", "pytest_runtest_call", "pytest_runtest_setup", "pytest_runtest_teardown"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every kernel test runs on the kernel that is here."""
    parametrize_kernel(metafunc, [os.environ[KERNEL_VARIABLE]])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the time of a test's fixtures."""
    with _limited(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the time of a test."""
    with _limited(item, "call"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the time of a test's clearing up."""
    with _limited(item, "teardown"):
        return (yield)


@contextmanager
def _limited(item: pytest.Item, phase: str) -> Iterator[None]:
    seconds = item_limit(item)

    def expire(*_: object) -> None:
        pytest.fail(f"{phase} took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
