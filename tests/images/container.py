"""Runs an image as a runtime would, as far as the image is concerned: its layers unpacked, read-only, under its own user and
environment, with /proc, /sys and /dev, and with /tmp and /run empty and writable. Network and kernel are the host's.
"""

import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCRIPT = """\
root=$1 files=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$root/run"
cp -R "$files/." "$root/tmp"
exec env -i "$@"
"""


@dataclass(frozen=True)
class Container:
    """An image's content, unpacked at `root`, and what it says of itself."""

    root: Path
    config: dict[str, Any]

    def command(self, *argv: str, files: Path) -> list[str]:
        """The command line that runs `argv` inside, as process 1; what is in the folder `files` is in its /tmp.

        When it is killed, everything inside goes with it: the outer namespace's first process stays root's, and the kernel forgets
        `--kill-child` (PR_SET_PDEATHSIG) of one that changes its user.
        """
        chroot = ["/usr/sbin/chroot", f"--userspec={self.config['User']}", str(self.root), *argv]
        mounted = ["sh", "-ec", _SCRIPT, "sh", str(self.root), str(files), *self.config["Env"], *chroot]
        return ["unshare", "--pid", "--fork", "--kill-child", "unshare", "--mount", "--pid", "--fork", *mounted]

    def run(self, *argv: str, files: Path) -> str:
        """Run a command to its end; what it printed. It must succeed."""
        done = subprocess.run(self.command(*argv, files=files), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def python(self, text: str, folder: Path) -> str:
        """Run a text by the image's Python; what it printed."""
        (folder / "text.py").write_text(text)
        return self.run("python3", "/tmp/text.py", files=folder)


def unpacked(image: Path, root: Path) -> Container:
    """Unpack an image's tar to the folder `root`."""
    root.chmod(0o755)
    with tarfile.open(image) as tar:

        def member(name: str) -> Any:
            file = tar.extractfile(name)
            assert file is not None
            return file

        (said,) = json.load(member("manifest.json"))
        for layer in said["Layers"]:
            with tarfile.open(fileobj=member(layer)) as content:
                content.extractall(root, filter="fully_trusted")
        return Container(root, json.load(member(said["Config"]))["config"])
