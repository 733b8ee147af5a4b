"""Fills a folder with Debian packages' files: fetched and checked by apt, unpacked, none of their scripts run.

apt, dpkg-deb and pip are those of a guest's root file system, in which a build works as in a workshop: the host may be another Debian,
and nothing of the target ever runs, so that its architecture may be a foreign one. The .deb files lie in the cache that guests are
built from.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clew_lab.chroot import run_in
from clew_lab.config import BASE_SUITE
from clew_lab.images.packages import Package, parse, status_of

__all__ = ["STATUS_FOLDER", "Workshop", "available", "lay_out", "unpack"]

STATUS_FOLDER = "var/lib/dpkg/status.d"
"""Where an image says which packages are in it."""

# Folders that every file system has. Since Debian merged /usr, the first four are links, which its installer makes.
_LINKS = ("bin", "sbin", "lib", "lib64")
_FOLDERS = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "var/tmp")
_NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"
_NOT_NEEDED = (
    "etc/ca-certificates",
    "etc/update-motd.d",
    "usr/sbin/update-ca-certificates",
    "usr/share/base-files",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc-base",
    "usr/share/doc/*/*",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/python3",
    "usr/bin/py3*",
    "usr/lib/*/gconv",
    "usr/lib/python3*/test",
    "usr/lib/valgrind",
    "var/lock",
)
_LICENCES = "copyright"


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where a build works: a guest's root file system, whose programs it uses and which it leaves as it is, a folder of the host
    that is /tmp there, and the folder that keeps .deb files."""

    root: Path
    work: Path
    debs: Path

    def run(self, *argv: str, stdout: int | None = None) -> str:
        """Run a program of the workshop's; it sees the work folder as /tmp."""
        return run_in(self.root, *argv, mounts={self.work: "/tmp", Path("/etc/resolv.conf"): "/etc/resolv.conf"}, stdout=stdout)


def available(workshop: Workshop, architecture: str) -> dict[str, Package]:
    """The packages that the Debian release of the guests has now, its security updates included."""
    apt = workshop.work / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    sources = (workshop.root / "etc/apt/sources.list").read_text()
    security = sources.replace(f"/debian {BASE_SUITE} ", f"/debian-security {BASE_SUITE}-security ")
    (apt / "sources.list").write_text(sources + security)
    (apt / "status").touch()
    workshop.run("apt-get", *_apt_options(architecture), "--quiet=2", "update")
    return parse(workshop.run("apt-cache", *_apt_options(architecture), "dumpavail", stdout=subprocess.PIPE))


def _apt_options(architecture: str) -> list[str]:
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Cache": "/tmp/apt/cache",
        "Dir::Etc::sourcelist": "/tmp/apt/sources.list",
        "Dir::State::lists": "/tmp/apt/lists",
        "Dir::State::status": "/tmp/apt/status",
    }
    return [f"--option={name}={value}" for name, value in options.items()]


def lay_out(root: Path, users: Sequence[tuple[str, int]]) -> None:
    """Make the folders and files that no package brings; `users` have a name and a number each, and no home."""
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True)
    for link in _LINKS:
        (root / link).symlink_to(f"usr/{link}")
    for folder in ("tmp", "var/tmp"):
        (root / folder).chmod(0o1777)
    (root / "etc/passwd").write_text("".join(f"{name}:x:{number}:{number}::/:/usr/sbin/nologin\n" for name, number in users))
    (root / "etc/group").write_text("".join(f"{name}:x:{number}:\n" for name, number in users))
    (root / "etc/nsswitch.conf").write_text(_NSSWITCH)


def unpack(root: Path, packages: Iterable[Package], workshop: Workshop, architecture: str) -> None:
    """Unpack packages below `root`, which lies in the work folder, without what is only read by people; licences stay."""
    packages = list(packages)
    missing = [package for package in packages if not _is_whole(workshop.debs / package.file_name, package)]
    fetched = workshop.work / "debs"
    fetched.mkdir(exist_ok=True)
    if missing:
        names = [f"{package.name}={package.version}" for package in missing]
        fetch = 'cd /tmp/debs && exec apt-get "$@"'
        workshop.run("sh", "-ec", fetch, "sh", *_apt_options(architecture), "--quiet=2", "download", *names)
        for package in missing:
            shutil.move(fetched / package.file_name, workshop.debs / package.file_name)
    for package in packages:
        shutil.copy(workshop.debs / package.file_name, fetched)
        workshop.run("dpkg-deb", "--extract", f"/tmp/debs/{package.file_name}", f"/tmp/{root.relative_to(workshop.work)}")
        (fetched / package.file_name).unlink()
        status = root / STATUS_FOLDER / package.name
        status.parent.mkdir(parents=True, exist_ok=True)
        status.write_text(status_of(package))
    _prune(root)


def _is_whole(deb: Path, package: Package) -> bool:
    return deb.exists() and hashlib.sha256(deb.read_bytes()).hexdigest() == package.fields["SHA256"]


def _prune(root: Path) -> None:
    for pattern in _NOT_NEEDED:
        for path in root.glob(pattern):
            if path.name == _LICENCES:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
