"""The recipe of the guest's root file system: Debian, BCC, the runtimes under test, locked Python packages, two kernels.

Runs as root on the host. The text of this file is part of the recipe's key. Downloaded .deb files are kept in a folder
beside the images, so that a rebuild downloads only what is new.
"""

import os
import shutil
import subprocess
from pathlib import Path

from clew_lab.chroot import certificates, run_in
from clew_lab.config import BASE_SUITE, CHECKOUT_MOUNT, GUEST_PACKAGES, GUEST_PYTHON, KERNELS, SHARE_MOUNT, Kernel

__all__ = ["build"]

_VENV = Path(GUEST_PYTHON).parents[1]
_SHIM = '#!/bin/sh\nexec {python} -c "from {module} import main; raise SystemExit(main())" "$@"\n'
_COMMANDS = {"clew-agent": "clew_agent.main", "clew": "clew_cli.main"}
_UDEVD = """#!/bin/sh
# Stands where udevd would: names the ports that virtme-ng's init speaks through, and nothing else.
# udev itself costs an emulated boot some twenty seconds.
mkdir -p /dev/virtio-ports
for _ in $(seq 200); do
    for port in /sys/class/virtio-ports/*; do
        read -r name < "$port/name" && ln -sf "../${port##*/}" "/dev/virtio-ports/$name"
    done 2> /dev/null
    test -e /dev/virtio-ports/virtme.ret && break
    sleep 0.05
done
"""


def build(root: Path, debs: Path, requirements: Path) -> dict[str, str]:
    """Make the root file system at `root`; return the release of each kernel series, such as 6.1: 6.1.0-56-amd64.

    Raises ``subprocess.CalledProcessError`` when one of Debian's or pip's commands fails.
    """
    debs.mkdir(exist_ok=True)
    root.parent.mkdir(exist_ok=True)
    subprocess.run(["debootstrap", "--variant=minbase", f"--cache-dir={debs}", BASE_SUITE, str(root)], check=True)
    _install_packages(root, debs)
    _install_python(root, requirements)
    releases = {kernel.name: _install_kernel(root, kernel) for kernel in KERNELS}
    for mount in (CHECKOUT_MOUNT, SHARE_MOUNT):
        (root / mount.lstrip("/")).mkdir(exist_ok=True)
    for command, module in _COMMANDS.items():
        _write_program(root / "usr/local/bin" / command, _SHIM.format(python=GUEST_PYTHON, module=module))
    _write_program(root / "usr/lib/systemd/systemd-udevd", _UDEVD)
    _write_program(root / "usr/local/bin/udevadm", "#!/bin/sh\n")
    shutil.rmtree(root / "var/lib/apt/lists")
    return releases


def _write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _install_packages(root: Path, debs: Path) -> None:
    """Install the guest's packages, with no service started; what was downloaded goes into the cache."""
    policy = root / "usr/sbin/policy-rc.d"
    _write_program(policy, "#!/bin/sh\nexit 101\n")
    archives = root / "var/cache/apt/archives"
    for deb in debs.glob("*.deb"):
        if not (archives / deb.name).exists():
            os.link(deb, archives / deb.name)
    run_in(root, "apt-get", "update")
    run_in(root, "apt-get", "install", "--yes", "--no-install-recommends", *GUEST_PACKAGES)
    for deb in archives.glob("*.deb"):
        if not (debs / deb.name).exists():
            os.link(deb, debs / deb.name)
    run_in(root, "apt-get", "clean")
    policy.unlink()


def _install_python(root: Path, requirements: Path) -> None:
    """Make the guest's Python environment: Debian's packages (bcc) with the locked requirements beside them."""
    shutil.copy(requirements, root / "tmp/requirements.txt")
    run_in(root, "python3", "-m", "venv", "--system-site-packages", str(_VENV))
    install = [GUEST_PYTHON, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--require-hashes", "-r", "/tmp/requirements.txt"]
    run_in(root, *install, mounts=certificates())
    (root / "tmp/requirements.txt").unlink()


def _kernel_package(root: Path, kernel: Kernel) -> str:
    preferred = f"linux-image-{kernel.preferred}"
    if kernel.preferred and preferred in run_in(root, "apt-cache", "pkgnames", preferred, stdout=subprocess.PIPE).split():
        return preferred
    depends = run_in(root, "apt-cache", "depends", "--important", "linux-image-amd64", stdout=subprocess.PIPE)
    return next(line.split()[1] for line in depends.splitlines() if line.strip().startswith("Depends: linux-image-"))


def _install_kernel(root: Path, kernel: Kernel) -> str:
    """Unpack a kernel's package without its installation scripts; return its release."""
    sources = root / "etc/apt/sources.list"
    own = sources.read_text()
    sources.write_text(own.replace(f" {BASE_SUITE} ", f" {kernel.suite} "))
    run_in(root, "apt-get", "update")
    package = _kernel_package(root, kernel)
    unpacked = root / "tmp/kernel"
    unpacked.mkdir()
    run_in(root, "sh", "-ec", f"cd /tmp/kernel; apt-get -o APT::Sandbox::User=root download {package}; dpkg-deb -x *.deb .; rm *.deb")
    sources.write_text(own)
    release = package.removeprefix("linux-image-")
    boot_file = root / "boot" / f"vmlinuz-{release}"
    shutil.move(unpacked / "boot" / boot_file.name, boot_file)
    boot_file.chmod(0o644)
    modules = next(path for path in (unpacked / "usr/lib/modules", unpacked / "lib/modules") if path.is_dir())
    (root / "usr/lib/modules").mkdir(exist_ok=True)
    shutil.move(modules / release, root / "usr/lib/modules" / release)
    run_in(root, "depmod", release)
    shutil.rmtree(unpacked)
    return release
