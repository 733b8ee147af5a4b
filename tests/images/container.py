"""Runs an image's program on the host as a pod would: as the image's user, in its environment, its root file system read-only.

No container runtime: the layers are unpacked, and unshare(1) makes them the root of a user namespace, which takes no rights.
"""

import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Mounting wants root of a user namespace; then another one has the image's user. PATH is the image's.
_ENTER = """\
root=$1 user=$2 folder=$3
shift 3
/bin/mount --bind "$root" "$root"
/bin/mount --rbind /dev "$root/dev"
/bin/mount --rbind /proc "$root/proc"
/bin/mount -o remount,bind,ro "$root"
exec /usr/bin/unshare --user --map-user="$user" --map-group="$user" --root="$root" --wd="$folder" -- "$@"
"""


@dataclass(frozen=True)
class Container:
    """An image, unpacked."""

    root: Path
    config: Mapping[str, Any]

    def popen(self, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start the image's program with these arguments; the pid is the program's own. Options are those of `subprocess.Popen`."""
        user = str(self.config["User"]).partition(":")[0]
        enter = ["/usr/bin/unshare", "--map-root-user", "--mount", "/bin/sh", "-ec", _ENTER, "sh"]
        command = [*enter, str(self.root), user, self.config["WorkingDir"], *self.config["Entrypoint"], *arguments]
        own = dict(one.split("=", 1) for one in self.config["Env"])
        return subprocess.Popen(command, env={**own, **(environment or {})}, text=True, **options)


def unpack(image: Path, root: Path) -> Container:
    """Unpack an image's layers below the new folder `root`."""
    with tarfile.open(image) as tar:

        def document(path: str) -> Any:
            return json.loads(blob(path))

        def blob(path: str) -> bytes:
            content = tar.extractfile(path)
            assert content is not None
            return content.read()

        (described,) = document("manifest.json")
        for layer in described["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(blob(layer))) as content:
                content.extractall(root, filter="tar")
        return Container(root, document(described["Config"])["config"])


@contextmanager
def running(process: subprocess.Popen[str], listens: str) -> Iterator[subprocess.Popen[str]]:
    """Wait until the process writes this line to its stderr, and read on, so that it is never held up; end it afterwards."""
    assert process.stderr is not None
    stderr, said = process.stderr, []
    reading = threading.Thread(target=stderr.read)
    try:
        for line in stderr:
            said.append(line)
            if line == f"{listens}\n":
                break
        else:
            raise AssertionError(f"ended with status {process.wait()}: {''.join(said)}")
        reading.start()
        yield process
    finally:
        process.kill()
        process.wait()
        if reading.ident is not None:
            reading.join()
        stderr.close()
