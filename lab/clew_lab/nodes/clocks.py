"""The clocks of nodes, set by the host's: what NTP does where there is a network.

A guest takes its time from an emulated chip that knows whole seconds alone. So what two nodes say of one request would lie up to a
second apart. `python -m clew_lab.nodes.clocks PORT…` asks each node for its time now and then, and corrects it; the ports are those at
which QEMU takes connections for the guests.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from clew_lab.nodes import tunnel
from clew_lab.nodes.inside import CLOCK

__all__ = ["Offset", "correction", "least_uncertain", "main", "measure"]

_LOOKS = 10
_AGAIN_SECONDS = 5.0
_PATIENCE_SECONDS = 10.0
_BEARABLE_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Offset:
    """A node's time less the host's, in nanoseconds, and by how much that may be wrong."""

    ns: int
    error_ns: int

    @property
    def most_ns(self) -> int:
        """How far the clocks are apart at most."""
        return abs(self.ns) + self.error_ns


def least_uncertain(looks: Sequence[tuple[int, int, int]]) -> Offset:
    """Return what the quickest look says; each is the host's time before, the node's, and the host's after. Pure."""
    before, node, after = min(looks, key=lambda look: look[2] - look[0])
    return Offset(node - (before + after) // 2, (after - before + 1) // 2)


def correction(offset: Offset) -> int:
    """Return by how many nanoseconds the node's clock is to be moved: not at all for less than the offset is known to, or a millisecond."""
    return -offset.ns if abs(offset.ns) > max(offset.error_ns, _BEARABLE_NS) else 0


def measure(port: int) -> Offset:
    """Return the offset of the node behind a port. Raises ``OSError`` when it does not answer."""
    return asyncio.run(_measure(port, correct=False))


async def _measure(port: int, *, correct: bool) -> Offset:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        reader, writer = await tunnel.connect_through(await asyncio.open_connection("127.0.0.1", port), *CLOCK)
        try:
            looks = []
            for _ in range(_LOOKS):
                before = time.time_ns()
                writer.write(b"0\n")
                looks.append((before, int(await reader.readuntil()), time.time_ns()))
            offset = least_uncertain(looks)
            if correct and (shift := correction(offset)):
                writer.write(f"{shift}\n".encode())
                await reader.readuntil()
                print(
                    f"port {port}: {offset.ns / 1e6:+.3f} ms (± {offset.error_ns / 1e6:.3f} ms) from the host's time; corrected", flush=True
                )
        finally:
            writer.close()
    return offset


async def _keep_right(port: int) -> None:
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):  # it is off, cut off, or boots; OSError: a TimeoutError, too
            await _measure(port, correct=True)
        await asyncio.sleep(_AGAIN_SECONDS)


async def _keep_all_right(ports: Sequence[int]) -> None:
    await asyncio.gather(*(_keep_right(port) for port in ports))


def main() -> None:
    """Work until killed."""
    asyncio.run(_keep_all_right([int(port) for port in sys.argv[1:]]))


if __name__ == "__main__":
    main()
