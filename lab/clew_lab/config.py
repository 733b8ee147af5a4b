"""What the lab is made of: the one place that names kernels, packages and mount points.

The text of this file is part of the recipe: changing it gives the image a new key, and so a new build.
"""

from dataclasses import dataclass

__all__ = [
    "BASE_SUITE",
    "CHECKOUT_MOUNT",
    "GUEST_PACKAGES",
    "GUEST_PYTHON",
    "HOST_PACKAGES",
    "KERNELS",
    "SHARE_MOUNT",
    "Kernel",
    "kernel_named",
]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A supported kernel: its series, the Debian release whose `linux-image-amd64` it is, and the release of it that is taken
    instead for as long as Debian has it."""

    name: str
    suite: str
    preferred: str = ""


# 6.12.107 is the hard case: it answers FIONREAD wrongly for sockets in a sockhash, which the agent corrects (bpf/fionread.c).
KERNELS = (Kernel("6.1", "bookworm"), Kernel("6.12", "trixie", preferred="6.12.107+deb13-amd64"))

BASE_SUITE = "trixie"
"""Debian release of the root file system: the first whose BCC (0.31) runs without kernel headers as Clew needs it."""

GUEST_PACKAGES = (
    "bpftool",
    "busybox-static",
    "ca-certificates",
    "catatonit",
    "containernetworking-plugins",
    "curl",
    "default-jdk-headless",
    "iproute2",
    "iptables",
    "kmod",
    "libcap2-bin",
    "nftables",
    "nginx-light",
    "nodejs",
    "procps",
    "python3",
    "python3-bpfcc",
    "python3-pip",
    "python3-venv",
    "ruby",
    "ruby-webrick",
    "runc",
    "strace",
    "util-linux",
)

HOST_PACKAGES = {
    "busybox-static": "/bin/busybox",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "debootstrap": "/usr/sbin/debootstrap",
    "e2fsprogs": "/usr/sbin/mkfs.ext4",
    "file": "/usr/bin/file",
    "kmod": "/usr/sbin/modprobe",
    "openssl": "/usr/bin/openssl",
    "qemu-system-x86": "/usr/bin/qemu-system-x86_64",
    "zstd": "/usr/bin/zstd",
}
"""What the host must have, and a file that tells whether it has it."""

CHECKOUT_MOUNT = "/checkout"
"""Where a guest sees the checkout, read-write."""

SHARE_MOUNT = "/share"
"""Where a guest sees the folder of its own run, read-write."""

GUEST_PYTHON = "/opt/clew/venv/bin/python"
"""The guest's Python: Debian's, so that Debian's bcc is there, with the locked requirements beside it."""


def kernel_named(name: str) -> Kernel:
    """Return the kernel of that series; ``ValueError`` names those there are."""
    for kernel in KERNELS:
        if kernel.name == name:
            return kernel
    raise ValueError(f"no kernel {name!r} in the lab; there are: {', '.join(k.name for k in KERNELS)}")
