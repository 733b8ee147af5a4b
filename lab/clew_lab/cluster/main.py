"""`clew-lab cluster`: build the control plane, start one to work with by hand, end it, and list those that are up."""

import argparse
import subprocess
import sys
from collections.abc import Sequence

from clew_lab.cluster import keeper
from clew_lab.cluster.control_plane import ClusterError
from clew_lab.cluster.programs import ProgramsMissing, build_programs, find_programs

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Run `clew-lab cluster`; return its exit status."""
    asked = _parser().parse_args(argv)
    try:
        print(_carry_out(asked))
        return 0
    except (ClusterError, ProgramsMissing) as problem:
        print(f"clew-lab: {problem}", file=sys.stderr)
    except subprocess.CalledProcessError as problem:
        print(f"clew-lab: `{' '.join(map(str, problem.cmd))}` failed with status {problem.returncode}", file=sys.stderr)
    return 1


def _carry_out(asked: argparse.Namespace) -> str:
    match asked.action:
        case "build":
            return f"control plane ready: {build_programs()}"
        case "up":
            return f"export KUBECONFIG={keeper.up(asked.name, asked.nodes)} PATH={find_programs()}:$PATH"
        case "down":
            keeper.down(asked.name)
            return f"cluster {asked.name} has ended"
        case _:
            return "\n".join(f"{name} {kubeconfig}" for name, kubeconfig in keeper.status().items()) or "no cluster is up"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clew-lab cluster", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("build", help="build the programs, once per recipe: minutes the first time")
    up = actions.add_parser("up", help="start a fresh cluster and leave it running; prints what a shell needs to use it")
    down = actions.add_parser("down", help="end a cluster, and remove all of it")
    for action in (up, down):
        action.add_argument("--name", default="clew", help="several run side by side under different names (default clew)")
    up.add_argument("--nodes", type=int, default=3, help="how many nodes, which kwok plays (default 3)")
    actions.add_parser("status", help="list the clusters that are up, each with its kubeconfig")
    return parser
