"""Kernel tests in the host's report, end to end, with guests that are processes on the host."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from clew_lab.image import CHECKOUT

CONFTEST = """
import os, sys
from pathlib import Path
import pytest

if "CLEW_GUEST_KERNEL" in os.environ:
    from clew_lab.kernel_tests_guest import *
else:
    from clew_lab import kernel_tests
    from clew_lab.image import ImageMissing
    from clew_lab.kernel_tests import *
    from lab_stub import stub_guest

    image = stub_guest(pytest.MonkeyPatch(), Path("."))

    def find_image():
        if os.environ.get("NO_IMAGE"):
            raise ImageMissing("the lab has no image")
        return image

    kernel_tests.GUEST_PYTHON = sys.executable
    kernel_tests.find_image = find_image
"""


BESIDE = """
from clew_lab.kernel_tests import start_guests_beside

def pytest_runtest_setup(item):
    start_guests_beside(item)
"""
BEGINNING = """
def test_a(kernel):
    group = open("/proc/self/autogroup").read() if os.path.exists("/proc/self/autogroup") else "19"
    with open("begun-" + kernel, "w") as begun:
        begun.write(f"{os.sched_getscheduler(0) == os.SCHED_IDLE} {group.split()[-1]}")
"""
WAITING = """
import time
from pathlib import Path

def test_calls():
    deadline = time.monotonic() + 60
    while len([begun for begun in Path().glob("begun-*") if begun.read_text() == "True 19"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
"""


class Outcome:
    """What a run of pytest on a small project brought: its text, and (outcome, message) for each test in order."""

    def __init__(self, project: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        argv = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
            f"--junitxml={project}/junit.xml",
            *arguments,
        ]
        path = {"PYTHONPATH": f"{CHECKOUT}/lab:{CHECKOUT}/tests/unit", "PATH": "/usr/bin:/bin"}
        own = {**path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **(environment or {})}  # hypothesis is not needed, and takes long to load
        done = subprocess.run(argv, cwd=project, env=own, capture_output=True, text=True, check=False)
        self.status, self.text = done.returncode, done.stdout + done.stderr
        self.tests: dict[str, tuple[str, str]] = {}
        for case in ET.parse(project / "junit.xml").iter("testcase"):
            problem = next((child for child in case if child.tag in ("failure", "error")), None)
            self.tests[case.attrib["name"]] = ("passed", "") if problem is None else (problem.tag, problem.text or "")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = limit(seconds): …\n")
    (tmp_path / "tests/kernel").mkdir(parents=True)
    (tmp_path / "tests/kernel/conftest.py").write_text(CONFTEST)
    return tmp_path


def write(project: Path, text: str) -> None:
    (project / "tests/kernel/test_it.py").write_text("import os, time, pytest\n" + text)


def test_every_test_runs_on_every_kernel_and_may_ask_which(project: Path) -> None:
    write(
        project,
        "def test_a(kernel): assert os.environ['CLEW_GUEST_KERNEL'] == kernel\n"
        "@pytest.mark.parametrize('n', [1, 2])\ndef test_b(n): pass\n",
    )
    outcome = Outcome(project)
    assert list(outcome.tests) == ["test_a[6.1]", "test_b[6.1-1]", "test_b[6.1-2]", "test_a[6.12]", "test_b[6.12-1]", "test_b[6.12-2]"]
    assert {result for result, _ in outcome.tests.values()} == {"passed"}
    assert outcome.status == 0


def test_a_failure_comes_with_its_assertion_and_its_output(project: Path) -> None:
    write(project, "def test_a():\n    print('from the guest')\n    assert 2 + 2 == 5\n")
    outcome = Outcome(project, "-k", "6.1]")
    assert outcome.tests["test_a[6.1]"][0] == "failure"
    assert "assert (2 + 2) == 5" in outcome.text
    assert "from the guest" in outcome.text
    assert outcome.status == 1


def test_fixtures_live_in_the_guest(project: Path) -> None:
    write(
        project,
        "@pytest.fixture(scope='module')\ndef pid(): return os.getpid()\n"
        "def test_a(pid): assert pid == os.getpid()\ndef test_b(pid): assert pid == os.getpid()\n"
        "@pytest.fixture\ndef broken(): raise OSError('no such device')\ndef test_c(broken): pass\n",
    )
    outcome = Outcome(project, "-k", "6.12]")
    assert [result for result, _ in outcome.tests.values()] == ["passed", "passed", "error"]
    assert "OSError: no such device" in outcome.text


def test_a_guest_that_dies_fails_what_it_owes_with_its_last_words(project: Path) -> None:
    write(project, "def test_a(): pass\ndef test_b():\n    os.write(2, b'oops\\n')\n    os._exit(3)\ndef test_c(): pass\n")
    outcome = Outcome(project, "-k", "6.1]", "-s")
    results = list(outcome.tests.values())
    assert [result for result, _ in results] == ["passed", "failure", "failure"]
    assert results[1][1].startswith(
        "the guest with kernel 6.1 ended with status 3, in tests/kernel/test_it.py::test_b[6.1]\n--- its last output\n"
    )
    assert results[2][1] == "the guest with kernel 6.1 ended with status 3, in tests/kernel/test_it.py::test_b[6.1]"


def test_a_test_that_hangs_costs_its_own_time_only(project: Path) -> None:
    write(project, "@pytest.mark.limit(0.2)\ndef test_a(): time.sleep(1000)\ndef test_b(): pass\n")
    outcome = Outcome(project, "-k", "6.1]")
    assert [result for result, _ in outcome.tests.values()] == ["failure", "passed"]
    assert "Failed: call took more than 0.2 s" in outcome.text


def test_other_tests_go_first(project: Path) -> None:
    write(project, "def test_a(): pass\n")
    (project / "tests/test_zebra.py").write_text("def test_z(): pass\n")
    for folder in ("api", "cluster", "unit"):
        (project / "tests" / folder).mkdir()
        (project / f"tests/{folder}/test_of_{folder}.py").write_text(f"def test_{folder}(): pass\n")
    assert list(Outcome(project).tests) == ["test_cluster", "test_api", "test_z", "test_unit", "test_a[6.1]", "test_a[6.12]"]


def test_guests_run_beside_all_other_tests(project: Path) -> None:
    """They give way to them: a guest has what they leave of the processors."""
    write(project, BEGINNING)
    (project / "tests/cluster").mkdir()
    (project / "tests/conftest.py").write_text(BESIDE)
    (project / "tests/cluster/test_nodes.py").write_text(WAITING)
    outcome = Outcome(project)
    assert set(outcome.tests.values()) == {("passed", "")}
    assert list(outcome.tests) == ["test_calls", "test_a[6.1]", "test_a[6.12]"]


def test_without_an_image_every_kernel_test_fails_and_says_why(project: Path) -> None:
    write(project, "def test_a(): pass\n")
    outcome = Outcome(project, environment={"NO_IMAGE": "1"})
    assert outcome.tests == {f"test_a[{kernel}]": ("failure", "the lab has no image") for kernel in ("6.1", "6.12")}
