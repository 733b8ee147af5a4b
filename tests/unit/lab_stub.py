"""A stand-in for a guest: the same supervision, but the command runs on the host and not under QEMU."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
from clew_lab import guest
from clew_lab.config import SHARE_MOUNT
from clew_lab.guest import KERNEL_VARIABLE, GuestOptions
from clew_lab.image import Image


def stub_guest(monkeypatch: pytest.MonkeyPatch, path: Path) -> Image:
    """Let guests be plain processes from here on; return an image to boot them from."""
    monkeypatch.setattr(guest, "start_script", host_script)
    monkeypatch.setattr(guest, "virtme_argv", host_argv)
    return Image(path, {"6.1": "6.1.0-50-amd64"})


def host_script(options: GuestOptions, command: Sequence[str]) -> str:
    environment = {KERNEL_VARIABLE: options.kernel, **options.environment}
    exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in environment.items())
    return exports + "exec " + shlex.join(command).replace(f"@{SHARE_MOUNT}/", '@"$TMPDIR"/share/') + "\n"


def host_argv(image: Image, options: GuestOptions, folder: Path) -> list[str]:
    return ["sh", str(folder / "share/start")]
