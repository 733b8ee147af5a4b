"""Images that the nodes themselves need, from Debian's programs and our own build: the pod sandbox, CoreDNS, and a shell for tests."""

import shutil
import tempfile
from pathlib import Path

from clew_lab.image import Image
from clew_lab.images.oci import ImageConfig, write_image
from clew_lab.nodes.addons import DNS_IMAGE
from clew_lab.nodes.files import PAUSE_IMAGE

__all__ = ["SHELL_IMAGE", "write_node_images"]

SHELL_IMAGE = "docker.io/clew/busybox:1"
"""busybox, whose commands are links to it: enough to serve and ask by HTTP."""

_SHELL_COMMANDS = ("cat", "echo", "env", "hostname", "httpd", "ls", "nslookup", "sh", "sleep", "wget")


def write_node_images(target: Path, image: Image, programs: Path) -> list[Path]:
    """Write each image as a tar into `target`, out of the guests' root file system and the nodes' programs; return the tars."""
    shell = ImageConfig(command=("/bin/sh",), environment={"PATH": "/bin"})
    made = [
        (PAUSE_IMAGE, {"pause": image.root / "usr/bin/catatonit"}, ImageConfig(entrypoint=("/pause", "-P"))),
        (DNS_IMAGE, {"coredns": programs / "coredns"}, ImageConfig(entrypoint=("/coredns",))),
        (SHELL_IMAGE, {"bin/busybox": image.root / "usr/bin/busybox"}, shell),
    ]
    tars = []
    for name, programs_of_it, config in made:
        with tempfile.TemporaryDirectory(dir=target) as folder:
            for path, source in programs_of_it.items():
                Path(folder, path).parent.mkdir(exist_ok=True)
                shutil.copy(source, Path(folder, path))
            if name == SHELL_IMAGE:
                for command in _SHELL_COMMANDS:
                    Path(folder, "bin", command).symlink_to("busybox")
            tars.append(target / f"{name.rpartition('/')[2].partition(':')[0]}.tar")
            write_image(tars[-1], name, Path(folder), config=config)
    return tars
