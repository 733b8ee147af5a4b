"""A guest: one kernel of an image, booted under QEMU emulation, running one command with the checkout in front of it.

virtme-run makes the QEMU command line. Everything it starts lives in one process group of its own, with a guard in it that
waits on a pipe from this process: when the pipe closes, because the guest is ended or because this process has died in
whatever way, the guard kills the group. So no QEMU outlives the one who wanted it.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from clew_lab.config import CHECKOUT_MOUNT, GUEST_PYTHON, SHARE_MOUNT
from clew_lab.image import CHECKOUT, Image, cache_dir, in_use

__all__ = [
    "HOST_ADDRESS",
    "KERNEL_VARIABLE",
    "LEAN",
    "WHOLE_PROCESSOR",
    "Guest",
    "GuestOptions",
    "boot",
    "programs_folder",
    "start_script",
    "virtme_argv",
]

KERNEL_VARIABLE = "CLEW_GUEST_KERNEL"
"""Set in a guest to the series of its kernel; unset on the host."""

LEAN = ("mitigations=off", "psi=0")
"""Words of a kernel's command line. An emulated processor has no flaws of speculation, but pays for what keeps them from being used: every
indirect call; and nothing here looks at pressure, which each switch between tasks counts. To BPF programs it makes no difference."""

WHOLE_PROCESSOR = "max"
"""All that QEMU can emulate, however slowly: a benchmark's processor, whose figures are compared with older ones."""

HOST_ADDRESS = "10.0.2.2"
"""The host, for a guest that has a network."""

_GUARD = 'exec 3<&0; (read -r _; kill -KILL 0) <&3 >/dev/null 2>&1 & exec 3<&- </dev/null; exec "$@"'
# Told that it moves bytes fast, a kernel does so byte by byte, which QEMU emulates one by one: touching fresh memory takes twice as long
# without, and writing and reading files three times. Wide vectors are emulated part by part: what a C library does with them is slower
# than what it does without.
_PROCESSOR = "max,-erms,-fsrm,-avx,-avx2"
# virtme-run gives each of the six serial ports a bus for 31 of them, with 64 queues. QEMU's main loop looked at their 384 descriptors
# hundreds of times a second, for a fifth of all that an emulated processor used.
_SERIAL_PORTS = ("-global", "virtio-serial-device.max_ports=2", "-global", "virtio-serial-pci.ioeventfd=off")
# A processor that runs nothing but such tasks is an idle one to the scheduler, where it has others to place. Nice ones it left alone on
# theirs, with two nodes together on the other one.
_IDLE = ("chrt", "--idle", "0")
_NICEST = "19"
_OVERLAYS = ("/etc", "/root", "/var")
_SOURCES = ("crds", "node_agent", "cli", "lab", "")
# What a guest does before its command. The image is mounted a second time, with a cache, and laid over /usr and /opt: virtme-run's
# own mount has none, so that Python and LLVM would be read page by page at every start (bcc's first import takes three times as long).
# What agents have compiled lies where they look for it, and on the host, so that no guest compiles what another one did.
_PREPARE = """
ip link set lo up
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
mountpoint -q /tmp || mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p /run/clew/image
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,access=any,cache=loose clew.image /run/clew/image
for tree in usr opt; do
    mkdir -p /run/clew/$tree/upper /run/clew/$tree/work
    mount -t overlay -o lowerdir=/run/clew/image/$tree,upperdir=/run/clew/$tree/upper,workdir=/run/clew/$tree/work overlay /$tree
done
mkdir -p /run/clew/programs
mount -t 9p -o rw,trans=virtio,version=9p2000.L,msize=512000,access=any clew.programs /run/clew/programs
"""
# The address that QEMU's user network has in store for its guest; there is no udev that would load the driver.
_JOIN = """
modprobe virtio_net
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
"""


@dataclass(frozen=True, slots=True)
class GuestOptions:
    """How a guest is made: kernel series, memory as QEMU writes it, number of CPUs, further environment of its command.

    A guest with a `network` reaches the host's 127.0.0.1 at HOST_ADDRESS (QEMU's user network); by default it is alone.

    In a `counted` guest each instruction takes one nanosecond of its time (QEMU's -icount), so that what runs twice takes as long
    twice, however busy the host is. While it is idle, its time is the host's.

    `parameters` are further words of its kernel's command line. One that `gives_way` has what all else on the host leaves of the
    processors. `processor` is QEMU's `-cpu`.
    """

    kernel: str
    memory: str = "4G"
    cpus: int = 2
    environment: Mapping[str, str] = field(default_factory=dict)
    counted: bool = False
    network: bool = False
    parameters: Sequence[str] = ()
    gives_way: bool = False
    processor: str = _PROCESSOR


@dataclass
class Guest:
    """A running guest. `stdout` and `stderr` are its command's; `share` is the folder that it sees at SHARE_MOUNT."""

    process: subprocess.Popen[bytes]
    folder: Path
    stdout: IO[bytes]
    stderr: IO[bytes]
    _held: ExitStack

    @property
    def share(self) -> Path:
        """The host's side of the shared folder."""
        return self.folder / "share"

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the guest's end, at most `timeout` seconds; return its command's exit status.

        255 stands for a guest that ended without one (a panic). Raises ``subprocess.TimeoutExpired``.
        """
        return self.process.wait(timeout)

    def console(self) -> str:
        """Return what the kernel has said: warnings and worse."""
        path = self.folder / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self) -> None:
        """End the guest, whatever state it is in; what it has said can still be read."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """End the guest and remove its folder."""
        self.kill()
        self._held.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def start_script(options: GuestOptions, command: Sequence[str]) -> str:
    """Return the shell script that a guest runs: mounts, loopback, environment, then the command in the checkout."""
    environment = {
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": f"{Path(GUEST_PYTHON).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": ":".join(f"{CHECKOUT_MOUNT}/{source}".rstrip("/") for source in _SOURCES),
        "PYTHONUNBUFFERED": "1",
        KERNEL_VARIABLE: options.kernel,
        **options.environment,
    }
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    prepare = _PREPARE + (_JOIN if options.network else "")
    return f"#!/bin/sh\n{prepare}\n{exports}cd {CHECKOUT_MOUNT} || exit 1\nexec {shlex.join(command)}\n"


def virtme_argv(image: Image, options: GuestOptions, folder: Path) -> list[str]:
    """Return the command line that boots a guest whose start script is `folder`/share/start."""
    argv = [
        str(Path(sys.executable).with_name("virtme-run")),
        f"--name=clew-{options.kernel}",
        f"--kimg={image.boot_file(options.kernel)}",
        f"--root={image.root}",
        f"--rwdir={CHECKOUT_MOUNT}={CHECKOUT}",
        f"--rwdir={SHARE_MOUNT}={folder / 'share'}",
        f"--cpus={options.cpus}",
        f"--memory={options.memory}",
        "--mods=auto",
        "--disable-kvm",
        "--force-9p",
        "--user=root",
        "--kopt=loglevel=5",
        "--kopt=nokaslr",  # an address of the kernel's is part of what agents compile
        *(f"--kopt={parameter}" for parameter in options.parameters),
    ]
    argv += [f"--overlay-rwdir={path}" for path in _OVERLAYS]
    argv += ["--net=user", "--no-dhcp"] if options.network else []
    argv += [f"--script-sh=exec sh {SHARE_MOUNT}/start"]
    image_share = f"local,id=clew,path={image.root},security_model=none,readonly=on,multidevs=remap"
    argv += ["--qemu-opts", "-set", f"chardev.console.path={folder / 'console.log'}", "-pidfile", str(folder / "qemu.pid")]
    argv += ["-icount", "shift=0"] if options.counted else []
    argv += ["-cpu", options.processor]
    argv += _SERIAL_PORTS
    argv += ["-fsdev", image_share, "-device", "virtio-9p-pci,fsdev=clew,mount_tag=clew.image"]
    argv += ["-fsdev", f"local,id=programs,path={programs_folder()},security_model=none", "-device"]
    return [*argv, "virtio-9p-pci,fsdev=programs,mount_tag=clew.programs"]


def programs_folder() -> Path:
    """The folder in the cache that guests have at /run/clew/programs."""
    folder = cache_dir() / "programs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def boot(image: Image, options: GuestOptions, command: Sequence[str], files: Mapping[str, str] | None = None) -> Guest:
    """Boot a guest that runs `command` and then powers off. The caller ends it (`with boot(…) as guest:`).

    `files` are put into the shared folder before: name to text.
    """
    held = ExitStack()
    held.enter_context(in_use(image))
    folder = Path(tempfile.mkdtemp(prefix="clew-guest-"))
    (folder / "share").mkdir()
    for name, text in {"start": start_script(options, command), **(files or {})}.items():
        (folder / "share" / name).write_text(text)
    process = subprocess.Popen(
        [*(_IDLE if options.gives_way else ()), "sh", "-c", _GUARD, "clew-guest", *virtme_argv(image, options, folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    if options.gives_way:
        _give_way(process.pid)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    for stream in (process.stdin, process.stdout, process.stderr):
        held.callback(stream.close)
    return Guest(process, folder, process.stdout, process.stderr, held)


def _give_way(leader: int) -> None:
    """Give a session of processes the smallest share of the processors.

    With CONFIG_SCHED_AUTOGROUP (sched(7)) each session has the same share, however nice its processes are, and idle as they may be. Who is
    not root may change that ten times a second (kernel/sched/autogroup.c).
    """
    group = Path(f"/proc/{leader}/autogroup")
    while group.exists():
        with suppress(BlockingIOError):
            group.write_text(_NICEST)
            return
        time.sleep(0.1)
