"""``python -m bench``: boots a guest and measures in it; ``--inside`` is the part in the guest."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from clew_lab.config import KERNELS
from clew_lab.guest import WHOLE_PROCESSOR, GuestOptions
from clew_lab.image import CHECKOUT
from clew_lab.run import run_command

from bench.guest import Plan, measure
from bench.quiet import warn_if_busy
from bench.workloads import GO_SERVICE

__all__ = ["main"]

_POLICY = "bench/policy.yaml"
_SLOWER = 10  # seconds that one of a counted guest may take


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; the exit status is 0 when every request was answered."""
    asked = _parser().parse_args(argv)
    if asked.inside:
        return measure(Plan(asked.rounds, asked.seconds, CHECKOUT / asked.policy, tuple(asked.only), asked.control))
    from clew_lab.main import setup

    image = setup()
    warn_if_busy()
    _build_go_service()
    # Boot, agent starts and settling come on top of the loads themselves.
    limit = 600 + asked.rounds * (2 * 5 * (asked.seconds + 40) + 180)
    command = ["python", "-m", "bench", "--inside", *(sys.argv[1:] if argv is None else argv)]
    options = GuestOptions(asked.kernel, cpus=asked.cpus, counted=asked.counted, processor=WHOLE_PROCESSOR)
    return run_command(image, options, command, limit * (_SLOWER if asked.counted else 1))


def _build_go_service() -> None:
    """Build the Go services where this host has Go: statically, for the guest, from the standard library alone."""
    go = shutil.which("go")
    program = CHECKOUT / GO_SERVICE
    program.unlink(missing_ok=True)
    if go is not None:
        program.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
        subprocess.run([go, "build", "-o", str(program), "service.go"], cwd=Path(__file__).parent, env=environment, check=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="The same load with and without the agent, in turn.")
    parser.add_argument("--kernel", choices=[kernel.name for kernel in KERNELS], default="6.1")
    parser.add_argument(
        "--cpus", type=int, default=2, help="processors of the guest (default 2); with 1, switches between them cost nothing"
    )
    parser.add_argument("--counted", action="store_true", help="a guest in which each instruction takes a nanosecond: no noise, but slow")
    parser.add_argument("--rounds", type=int, default=4, help="each round measures everything without and with the agent (default 4)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one load (default 10)")
    parser.add_argument("--policy", default=_POLICY, help=f"policy file below the checkout (default {_POLICY}; it selects namespace bench)")
    parser.add_argument("--only", action="append", default=[], metavar="RUNTIME", help="python or go; repeatable (default: all)")
    parser.add_argument("--control", action="store_true", help="no agent in either half: shows the noise of this machine")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
