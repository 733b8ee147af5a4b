"""`clew-lab`: make the lab's image, run things in its guests, and clear up after it."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from clew_lab import bpf_programs
from clew_lab import image as images
from clew_lab.backends import build as backends
from clew_lab.cluster import build as control_plane
from clew_lab.cluster import flux_build, toolchain
from clew_lab.config import KERNELS
from clew_lab.guest import WHOLE_PROCESSOR, GuestOptions
from clew_lab.host import HostUnready, as_root, ensure_host_packages
from clew_lab.images import build as container_images
from clew_lab.nodes import build as node_programs
from clew_lab.nodes import disk as node_disks
from clew_lab.run import run_command, run_shell

__all__ = ["main"]

_CLEAN: Sequence[Callable[[bool], list[str]]] = (
    images.clean,
    bpf_programs.TYPES.clean,
    control_plane.PROGRAMS.clean,
    flux_build.PROGRAMS.clean,
    *(program.clean for program in backends.PROGRAMS.values()),
    node_programs.PROGRAMS.clean,
    node_disks.DISKS.clean,
    container_images.clean,
    toolchain.clean,
)
"""How all that has been built in the cache is removed, there and here: what other recipes left, or everything."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `clew-lab`; the exit status is the guest's command's where there is one."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["demo"]:
        from clew_lab.demo import main as demo

        return demo(arguments[1:])
    if arguments[:1] == ["cluster"]:
        from clew_lab.cluster.main import main as cluster

        return cluster(arguments[1:])
    if arguments[:1] == ["images"]:
        return container_images.main(arguments[1:])
    asked = _parser().parse_args(arguments)
    try:
        return _carry_out(asked)
    except (HostUnready, images.ImageMissing, ValueError) as problem:
        print(f"clew-lab: {problem}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as problem:
        print(f"clew-lab: `{' '.join(map(str, problem.cmd))}` failed with status {problem.returncode}", file=sys.stderr)
        return 1


def setup() -> images.Image:
    """Return the image, made ready first where that is needed: the host's packages, then the build, as root."""
    ensure_host_packages()
    return _image()


def _image() -> images.Image:
    try:
        return images.find_image()
    except images.ImageMissing:
        pass
    if os.geteuid() == 0:
        return images.build_image()
    # The image alone: whatever else is wanted, its own user builds, who knows how much of it.
    subprocess.run(as_root([sys.executable, "-c", "from clew_lab.image import build_image; build_image()"]), check=True)
    return images.find_image()


def _for_guests() -> images.Image:
    image = _image()
    bpf_programs.provide(image)
    return image


def _carry_out(asked: argparse.Namespace) -> int:
    match asked.action:
        case "setup":
            ensure_host_packages()
            # Packages are downloaded and unpacked by one process at a time: half of two processors has nothing to do meanwhile.
            with ThreadPoolExecutor(1) as beside:
                making = beside.submit(_for_guests)
                built = {
                    "a control plane": control_plane.PROGRAMS.find_or_build(),
                    "Jaeger": backends.PROGRAMS[backends.JAEGER].find_or_build(),
                }
                if not asked.demo:
                    built["the Collector"] = backends.PROGRAMS[backends.COLLECTOR].find_or_build()
                    built["Flux"] = flux_build.PROGRAMS.find_or_build()
                image = making.result()
            print(f"lab ready: {image.path}, kernels {', '.join(image.kernels.values())}")
            print("\n".join(f"           {path}, {what}" for what, path in built.items()))
        case "clean":
            said = [line for clean in _CLEAN for line in clean(asked.all)]
            print("\n".join(said) or "nothing to remove")
        case "run":
            command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
            if not command:
                raise ValueError("run needs a command: clew-lab run --kernel 6.1 -- uname -r")
            return run_command(images.find_image(), _guest_options(asked), command, asked.timeout)
        case "shell":
            return run_shell(images.find_image(), _guest_options(asked))
    return 0


def _guest_options(asked: argparse.Namespace) -> GuestOptions:
    options = GuestOptions(asked.kernel, asked.memory, asked.cpus)
    return replace(options, counted=True, processor=WHOLE_PROCESSOR) if asked.counted else options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clew-lab", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    make = actions.add_parser(
        "setup", help="install what the host lacks, build the guests' image and the programs of clusters, once per recipe"
    )
    make.add_argument("--demo", action="store_true", help="what the demo needs of it: no Collector, no Flux")
    actions.add_parser(
        "cluster", help="a Kubernetes cluster, with nodes that are guests or are played: build, up, down, status, node", add_help=False
    )
    actions.add_parser("demo", help="the demo: four services, one policy, traces down into the kernel", add_help=False)
    actions.add_parser(
        "images", help="the operator's and the agent's container image: build, and print name, digest and size", add_help=False
    )
    clean = actions.add_parser("clean", help="remove images and programs of earlier recipes")
    clean.add_argument("--all", action="store_true", help="the present ones and all downloads too")
    run = actions.add_parser("run", help="boot a guest, run one command in the checkout, return its exit status")
    run.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="end the guest after this (default 600)")
    shell = actions.add_parser("shell", help="boot a guest and give its shell the terminal")
    for action in (run, shell):
        action.add_argument("--kernel", choices=[kernel.name for kernel in KERNELS], default=KERNELS[-1].name)
        action.add_argument("--memory", default="4G", help="as QEMU writes it (default 4G)")
        action.add_argument("--cpus", type=int, default=2)
        action.add_argument(
            "--counted", action="store_true", help="each instruction takes a nanosecond of the guest's time: exact, but slow"
        )
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND…")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
