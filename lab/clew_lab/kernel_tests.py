"""Host side of the kernel tests: collected here, run in guests, reported here one by one as if they had run here.

`tests/kernel/conftest.py` takes its hooks from this module on the host. Each test gets a parameter `kernel` for each kernel of
the lab. One guest per kernel starts, with all of that kernel's tests in one pytest run, whose reports come back while they are made
(:mod:`clew_lab.guest_run`). Running an item here means waiting for its reports from there.

Guests start with the first test of all (by `tests/conftest.py`) and go on beside the others, on what those leave of the processors.
"""

from collections.abc import Sequence

import pytest

from clew_lab.config import GUEST_PYTHON, KERNELS
from clew_lab.guest_run import GuestRun, Wanted
from clew_lab.image import ImageMissing, find_image

__all__ = [
    "ITEM_LIMIT",
    "guest_pytest",
    "item_limit",
    "parametrize_kernel",
    "pytest_collection_modifyitems",
    "pytest_generate_tests",
    "pytest_runtest_protocol",
    "start_guests_beside",
]

ITEM_LIMIT = 240.0
"""Seconds of its guest that setup, call and teardown of a kernel test may take each; the marker `limit(seconds)` sets another value."""

_FIRST = "cluster"
"""The folder of tests that come before all others: they take longest."""

_RUNS = pytest.StashKey[dict[str, GuestRun | str]]()


def parametrize_kernel(metafunc: pytest.Metafunc, names: Sequence[str]) -> None:
    """Give a test the parameter `kernel`, whether it asks for it or not."""
    if "kernel" not in metafunc.fixturenames:
        metafunc.fixturenames.append("kernel")
    metafunc.parametrize("kernel", names, scope="session")


def item_limit(item: pytest.Item) -> float:
    """Return the seconds that each phase of a kernel test may take."""
    marker = item.get_closest_marker("limit")
    return float(marker.args[0]) if marker else ITEM_LIMIT


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every kernel test runs on every kernel."""
    parametrize_kernel(metafunc, [kernel.name for kernel in KERNELS])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the kernel tests last, and each kernel's together."""
    order = ["", *(kernel.name for kernel in KERNELS)]
    items.sort(key=lambda item: (not _is_in(item, _FIRST), order.index(_kernel_of(item))))


def start_guests_beside(item: pytest.Item) -> None:
    """Start the guests, if there are kernel tests, before another test that is about to run."""
    if not _kernel_of(item):
        _runs(item.session)


def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Report what an item's run in its guest brings, instead of running it here; other items take their usual way."""
    kernel = _kernel_of(item)
    if not kernel:
        return None
    run = _runs(item.session)[kernel]
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for answer in [run] if isinstance(run, str) else run.answers(item.nodeid):
        if isinstance(answer, str):
            report = pytest.TestReport(item.nodeid, item.location, dict.fromkeys(item.keywords, 1), "failed", answer, "call")
        else:
            report = item.config.hook.pytest_report_from_serializable(config=item.config, data=answer)
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def guest_pytest(config: pytest.Config, ids: str) -> list[str]:
    """Return the command that runs the tests listed in the file `ids` in a guest: reports on stdout, all else on stderr."""
    argv = [GUEST_PYTHON, "-m", "pytest", "-p", "clew_lab.report_stream", "-p", "no:cacheprovider", "-v"]
    argv += ["--tb", str(config.getoption("tbstyle")), *(["--showlocals"] if config.getoption("showlocals") else []), f"@{ids}"]
    return ["sh", "-c", 'exec 3>&1 1>&2; exec "$@"', "sh", *argv]


def _runs(session: pytest.Session) -> dict[str, GuestRun | str]:
    """Return the guests by their kernels, started now if they were not before."""
    runs = session.config.stash.get(_RUNS, None)
    if runs is None:
        runs = session.config.stash[_RUNS] = _start_runs(session)
    return runs


def _start_runs(session: pytest.Session) -> dict[str, GuestRun | str]:
    """Start a guest for each kernel that has tests; in its place the reason, where there can be none."""
    items: dict[str, list[pytest.Item]] = {}
    for item in session.items:
        if _kernel_of(item):
            items.setdefault(_kernel_of(item), []).append(item)
    runs: dict[str, GuestRun | str] = {}
    for kernel, owned in items.items():
        wanted = Wanted(tuple(item.nodeid for item in owned), max(map(item_limit, owned)))
        try:
            run = GuestRun(find_image(), kernel, wanted, lambda ids: guest_pytest(session.config, ids))
        except ImageMissing as problem:
            runs[kernel] = str(problem)
        else:
            session.config.add_cleanup(run.end)
            runs[kernel] = run
    return runs


def _is_in(item: pytest.Item, folder: str) -> bool:
    return item.path.is_relative_to(item.config.rootpath / "tests" / folder)


def _kernel_of(item: pytest.Item) -> str:
    """Return the kernel that an item runs on; nothing for a test that is none of a kernel's."""
    if not _is_in(item, "kernel"):
        return ""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params["kernel"]) if callspec is not None else ""
