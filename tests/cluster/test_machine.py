"""What is done to a node's machine, tried on a QEMU that has no kernel to run: nothing here needs the cluster."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from clew_lab.nodes import qmp
from clew_lab.nodes.machine import LabNode, qemu_options

from tests.kernel.until import until

BARE = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-m", "16M", "-nodefaults", "-display", "none", "-S", "-no-reboot"]


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Path]:
    """A LAN that takes whoever connects."""
    path, loop = tmp_path / "lan.sock", asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_unix_server(lambda reader, writer: writer.close(), path))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield path
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def machine(tmp_path: Path, lan: Path) -> Iterator[LabNode]:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    with subprocess.Popen([*BARE, *qemu_options(LabNode(1, "6.12", tmp_path, 0), disk, lan)]) as qemu:
        until((tmp_path / "qmp.sock").exists, bool, lambda: "QEMU does not listen")
        yield LabNode(1, "6.12", tmp_path, 0)
        qemu.kill()


def status(machine: LabNode) -> str:
    (answer,) = qmp.execute(machine.folder / "qmp.sock", ("query-status", {}))
    return str(answer["status"])


def test_power_comes_and_goes(machine: LabNode) -> None:
    assert status(machine) == "prelaunch"
    for act, then in (
        (machine.power_on, "running"),
        (machine.power_off, "paused"),
        (machine.power_on, "running"),
        (machine.power_on, "running"),
    ):
        act()
        assert status(machine) == then


def test_both_cables_are_pulled_and_put_back(machine: LabNode) -> None:
    for act in (machine.cut_off, machine.rejoin):
        act()
        assert status(machine) == "prelaunch"


def test_what_qemu_refuses_is_said_on(machine: LabNode) -> None:
    with pytest.raises(qmp.MachineRefuses, match=r"^nonsense: The command nonsense has not been found$"):
        qmp.execute(machine.folder / "qmp.sock", ("nonsense", {}))


def test_a_machine_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(qmp.MachineGone, match=f"^no machine answers at {tmp_path}/qmp.sock: No such file or directory$"):
        qmp.execute(tmp_path / "qmp.sock", ("stop", {}))
