"""`clew-lab cluster`: build the control plane, start one to work with by hand, end it, list those that are up, and trouble their nodes."""

import argparse
import subprocess
import sys
from collections.abc import Sequence

from clew_lab.cluster import keeper
from clew_lab.cluster.build import PROGRAMS
from clew_lab.cluster.control_plane import ClusterError
from clew_lab.config import KERNELS
from clew_lab.host import HostUnready
from clew_lab.image import ImageMissing
from clew_lab.nodes import command
from clew_lab.nodes.qmp import MachineGone, MachineRefuses
from clew_lab.store import NotBuilt

__all__ = ["kernels_of_nodes", "main"]

_PLAYED = 3
_SERIES = tuple(kernel.name for kernel in KERNELS)


def main(argv: Sequence[str]) -> int:
    """Run `clew-lab cluster`; return its exit status."""
    asked = _parser().parse_args(argv)
    try:
        said = _carry_out(asked)
        print(said, end="\n" if said else "")
        return 0
    except (ClusterError, HostUnready, ImageMissing, MachineGone, MachineRefuses, NotBuilt, OSError) as problem:
        print(f"clew-lab: {problem}", file=sys.stderr)
    except subprocess.CalledProcessError as problem:
        print(f"clew-lab: `{' '.join(map(str, problem.cmd))}` failed with status {problem.returncode}", file=sys.stderr)
    return 1


def kernels_of_nodes(count: int, kernels: Sequence[str]) -> list[str]:
    """Return the kernel of each of so many nodes; kernels take turns, the newest first unless some are given."""
    turns = kernels or tuple(reversed(_SERIES))
    return [turns[number % len(turns)] for number in range(count)]


def _carry_out(asked: argparse.Namespace) -> str:
    match asked.action:
        case "build":
            built = f"control plane ready: {PROGRAMS.find_or_build()}"
            return f"{built}\nnodes ready: {command.build()}" if asked.nodes else built
        case "up":
            played = asked.played_nodes if asked.played_nodes is not None else 0 if asked.nodes else _PLAYED
            if asked.nodes:
                PROGRAMS.find_or_build()
                command.build()
            kubeconfig = keeper.up(asked.name, kernels_of_nodes(asked.nodes, asked.kernel), played)
            return f"export KUBECONFIG={kubeconfig} PATH={PROGRAMS.find()}:$PATH"
        case "down":
            keeper.down(asked.name)
            return f"cluster {asked.name} has ended"
        case "node":
            return command.carry_out(keeper.nodes(asked.name), asked.node, asked.what, asked.command)
        case _:
            return "\n".join(f"{name} {kubeconfig}" for name, kubeconfig in keeper.status().items()) or "no cluster is up"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clew-lab cluster", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    build = actions.add_parser("build", help="build the programs, once per recipe: minutes the first time")
    build.add_argument("--nodes", action="store_true", help="what real nodes need, too: the guests' image, programs, the nodes' disk")
    up = actions.add_parser("up", help="start a fresh cluster and leave it running; prints what a shell needs to use it")
    up.add_argument(
        "--nodes", type=int, default=0, metavar="N", help="how many real nodes, each a guest with a kernel of its own (default none)"
    )
    up.add_argument("--kernel", type=_kernels, default=(), metavar="6.1,6.12", help="their kernels, which take turns (default 6.12,6.1)")
    up.add_argument("--played-nodes", type=int, metavar="N", help=f"how many nodes that kwok plays (default {_PLAYED} without real ones)")
    down = actions.add_parser("down", help="end a cluster, and remove all of it")
    node = actions.add_parser("node", help="do something to a real node of a cluster that is up")
    for action in (up, down, node):
        action.add_argument("--name", default="clew", help="several run side by side under different names (default clew)")
    node.add_argument("node", help="such as worker-1")
    node.add_argument("what", choices=command.ACTIONS, help="; ".join(f"{name}: {does}" for name, does in command.ACTIONS.items()))
    node.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND…")
    actions.add_parser("status", help="list the clusters that are up, each with its kubeconfig")
    return parser


def _kernels(text: str) -> tuple[str, ...]:
    kernels = tuple(text.split(","))
    for kernel in kernels:
        if kernel not in _SERIES:
            raise argparse.ArgumentTypeError(f"no kernel {kernel!r} in the lab; there are: {', '.join(_SERIES)}")
    return kernels
