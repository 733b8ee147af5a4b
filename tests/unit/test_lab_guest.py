"""Guests: how they are made, and that they always end."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from clew_lab.guest import WHOLE_PROCESSOR, GuestOptions, boot, start_script, virtme_argv
from clew_lab.image import CHECKOUT, Image
from clew_lab.main import main
from clew_lab.run import TIMED_OUT, run_command

from tests.unit.lab_stub import stub_guest

SIX_ONE = GuestOptions("6.1")


def ended(pidfd: int, seconds: float = 10) -> bool:
    """Tell whether a process ends within that time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def test_the_start_script_quotes_its_command_and_exports_the_environment() -> None:
    script = start_script(GuestOptions("6.1", environment={"GREETING": "it's"}), ["echo", "a b", "$HOME"])
    lines = script.splitlines()
    assert lines[0] == "#!/bin/sh"
    assert lines[-2:] == ["cd /checkout || exit 1", "exec echo 'a b' '$HOME'"]
    assert "export CLEW_GUEST_KERNEL=6.1" in lines
    assert "export GREETING='it'\"'\"'s'" in lines
    assert "export PYTHONPATH=/checkout/crds:/checkout/node_agent:/checkout/cli:/checkout/lab:/checkout" in lines


def test_the_start_script_is_valid_shell() -> None:
    subprocess.run(["sh", "-n"], input=start_script(SIX_ONE, ["true"]), text=True, check=True)


def test_a_guest_is_emulated_and_shares_the_checkout(tmp_path: Path) -> None:
    argv = virtme_argv(Image(tmp_path, {"6.1": "6.1.0-50-amd64"}), GuestOptions("6.1", memory="2G", cpus=1), Path("/run/g"))
    assert argv[0].endswith("/virtme-run")
    assert {
        "--disable-kvm",
        "--memory=2G",
        "--cpus=1",
        f"--kimg={tmp_path / 'root' / 'boot' / 'vmlinuz-6.1.0-50-amd64'}",
        f"--rwdir=/checkout={CHECKOUT}",
        "--rwdir=/share=/run/g/share",
    } <= set(argv)


def test_only_a_counted_guest_counts(tmp_path: Path) -> None:
    image = Image(tmp_path, {"6.1": "6.1.0-50-amd64"})
    counted = virtme_argv(image, GuestOptions("6.1", counted=True), Path("/run/g"))
    assert counted[counted.index("-icount") + 1] == "shift=0"
    usual = virtme_argv(image, SIX_ONE, Path("/run/g"))
    assert "-icount" not in usual


def test_the_processor_is_a_lean_one_unless_another_is_asked_for(tmp_path: Path) -> None:
    image = Image(tmp_path, {"6.1": "6.1.0-50-amd64"})
    whole = virtme_argv(image, GuestOptions("6.1", processor=WHOLE_PROCESSOR), Path("/run/g"))
    assert whole[whole.index("-cpu") + 1] == "max"
    usual = virtme_argv(image, SIX_ONE, Path("/run/g"))
    assert usual[usual.index("-cpu") + 1] == "max,-erms,-fsrm,-avx,-avx2"


@pytest.mark.parametrize("counted", [False, True])
def test_no_serial_bus_has_more_ports_than_the_one_that_is_used(tmp_path: Path, *, counted: bool) -> None:
    argv = virtme_argv(Image(tmp_path, {"6.1": "6.1.0-50-amd64"}), GuestOptions("6.1", counted=counted), Path("/run/g"))
    assert {"virtio-serial-device.max_ports=2", "virtio-serial-pci.ioeventfd=off"} <= set(argv)


def test_output_and_exit_status_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    image = stub_guest(monkeypatch, tmp_path)
    assert run_command(image, SIX_ONE, ["sh", "-c", "echo out; echo err >&2; exit 7"], limit=30) == 7
    assert capfdbinary.readouterr() == (b"out\n", b"err\n")


def test_a_run_ends_at_its_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    image = stub_guest(monkeypatch, tmp_path)
    assert run_command(image, SIX_ONE, ["sleep", "1000"], limit=0.3) == TIMED_OUT
    assert capfd.readouterr().err.startswith("clew-lab: ended after 0.3 s, the time limit\n")


def test_a_guest_that_dies_shows_its_kernels_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    image = stub_guest(monkeypatch, tmp_path)
    words = "Kernel panic - not syncing"
    assert run_command(image, SIX_ONE, ["sh", "-c", f'echo "{words}" > "$TMPDIR/console.log"; exit 255'], limit=30) == 255
    assert capfd.readouterr().err == f"clew-lab: the guest ended without an exit status\n{words}\n\n"


def test_ending_a_guest_ends_all_its_processes_and_removes_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = stub_guest(monkeypatch, tmp_path)
    with boot(image, SIX_ONE, ["sh", "-c", "sleep 1000 & echo $!; wait"]) as guest:
        pidfd = os.pidfd_open(int(guest.stdout.readline()))
        assert not ended(pidfd, 0)
    assert ended(pidfd)
    os.close(pidfd)
    assert not guest.folder.exists()


def test_no_guest_outlives_a_lab_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, pytest
from pathlib import Path
from clew_lab.guest import GuestOptions, boot
from tests.unit.lab_stub import stub_guest
guest = boot(stub_guest(pytest.MonkeyPatch(), Path({str(tmp_path)!r})), GuestOptions("6.1"), ["sh", "-c", "echo $$; exec sleep 1000"])
sys.stdout.buffer.write(guest.stdout.readline())
sys.stdout.flush()
guest.wait()
"""
    environment = os.environ | {"PYTHONPATH": f"{CHECKOUT}/lab:{CHECKOUT}", "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as lab:
        assert lab.stdout is not None
        pidfd = os.pidfd_open(int(lab.stdout.readline()))
        lab.kill()
    assert ended(pidfd)
    os.close(pidfd)


def test_run_without_an_image_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["run", "--kernel", "6.1", "--", "true"]) == 1
    assert capsys.readouterr().err == "clew-lab: the lab has no image of the present recipe: run `clew-lab setup` (or `make setup`)\n"


def test_run_without_a_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--kernel", "6.1"]) == 1
    assert capsys.readouterr().err == "clew-lab: run needs a command: clew-lab run --kernel 6.1 -- uname -r\n"
