"""What the host must have: installed where that can be done, named where it cannot."""

import os
import shutil
import subprocess

import pytest
from clew_lab import host


def test_nothing_is_run_when_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "HOST_PACKAGES", {"coreutils": "/bin/true"})
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("ran a command"))
    host.ensure_host_packages()


def test_a_host_without_apt_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "HOST_PACKAGES", {"qemu-system-x86": "/nowhere/qemu", "coreutils": "/bin/true"})
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(host.HostUnready, match="packages qemu-system-x86; there is no apt-get here"):
        host.ensure_host_packages()


def test_a_user_without_sudo_is_told_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(host.HostUnready, match="`apt-get install file` needs root: run it yourself, or install sudo"):
        host.as_root(["apt-get", "install", "file"])


def test_root_runs_commands_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert host.as_root(["apt-get", "update"]) == ["apt-get", "update"]


def test_an_index_that_is_old_is_updated_and_the_install_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(argv[1])
        return subprocess.CompletedProcess(argv, 100 if ran == ["install"] else 0)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(host, "HOST_PACKAGES", {"file": "/nowhere/file"})
    monkeypatch.setattr(subprocess, "run", run)
    host.ensure_host_packages()
    assert ran == ["install", "update", "install"]
