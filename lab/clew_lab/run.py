"""`clew-lab run` and `clew-lab shell`: one command, or a shell, in a guest."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Protocol

from clew_lab.guest import GuestOptions, boot, start_script, virtme_argv
from clew_lab.image import Image, in_use

__all__ = ["TIMED_OUT", "run_command", "run_shell"]

TIMED_OUT = 124
"""Exit status of a run that reached its time limit, as timeout(1) has it."""


class Sink(Protocol):
    """Where a guest's output goes."""

    def write(self, data: bytes, /) -> object:
        """Take some bytes."""

    def flush(self) -> object:
        """Hand them on."""


def pump(source: IO[bytes], sink: Sink) -> threading.Thread:
    """Copy a stream as it comes, in a thread that ends with the stream."""

    def copy() -> None:
        while chunk := source.read1(65536):  # type: ignore[attr-defined]  # a pipe of Popen is a BufferedReader
            sink.write(chunk)
            sink.flush()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def run_command(image: Image, options: GuestOptions, command: Sequence[str], limit: float) -> int:
    """Run a command in a guest for at most `limit` seconds, its output streamed; return its exit status.

    A guest that dies says why on stderr, by its kernel's last messages.
    """
    with boot(image, options, command) as guest:
        threads = [pump(guest.stdout, sys.stdout.buffer), pump(guest.stderr, sys.stderr.buffer)]
        try:
            status = guest.wait(limit)
        except subprocess.TimeoutExpired:
            print(f"clew-lab: ended after {limit:g} s, the time limit\n{guest.console()[-4000:]}", file=sys.stderr)
            return TIMED_OUT
        for thread in threads:
            thread.join(5)
        if status == 255:
            print(f"clew-lab: the guest ended without an exit status\n{guest.console()[-4000:]}", file=sys.stderr)
        return status


def run_shell(image: Image, options: GuestOptions) -> int:
    """Give the terminal to a shell in a guest, until it ends."""
    with in_use(image), TemporaryDirectory(prefix="clew-guest-") as name:
        folder = Path(name)
        (folder / "share").mkdir()
        (folder / "share/start").write_text(start_script(options, ["setsid", "--ctty", "bash", "-i"]))
        return subprocess.run(virtme_argv(image, options, folder), check=False).returncode
