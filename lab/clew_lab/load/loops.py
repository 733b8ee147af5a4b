"""When requests are sent: as fast as they are answered, or at a rate."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from clew_lab.load.result import LoadResult
from clew_lab.load.wire import NANOSECONDS, Wire

__all__ = ["PATIENCE", "Source", "closed_loop", "open_loop"]

PATIENCE = 60.0
"""Seconds after which a request without an answer has failed."""

Source = Callable[[int], bytes | None]
"""Gives the bytes of request 0, 1, …; None ends the load early."""

_NEVER = 1 << 62


def closed_loop(
    address: tuple[str, int],
    request: Source,
    *,
    connections: int,
    count: int | None = None,
    seconds: float | None = None,
    patience: float = PATIENCE,
) -> LoadResult:
    """Send requests over ``connections`` connections, the next one when one is over, until ``count`` are sent or ``seconds`` have passed.

    Every request that was sent is waited for. Raises ``LoadError``, and the socket's ``OSError`` when nobody listens at first.
    """
    if count is None and seconds is None:
        raise ValueError("a closed loop needs a count of requests or a length in seconds")
    with Wire(address, connections, patience) as wire:
        end = wire.begun + int(seconds * NANOSECONDS) if seconds is not None else _NEVER
        most = count if count is not None else _NEVER
        number = 0
        while wire.outstanding or number < most:
            for _ in range(min(len(wire.idle), most - number)):
                now = time.perf_counter_ns()
                content = request(number) if now < end else None
                if content is None:
                    most = number
                    break
                wire.send(content, now)
                number += 1
            wire.receive(None)
        return wire.result()


def open_loop(
    address: tuple[str, int], request: Source, *, rate: float, seconds: float, connections: int = 32, patience: float = PATIENCE
) -> LoadResult:
    """Send ``rate`` requests per second for ``seconds``; one that finds every connection busy waits, and its latency grows.

    Every request is waited for. Raises ``LoadError``, and the socket's ``OSError`` when nobody listens at first.
    """
    with Wire(address, connections, patience) as wire:
        due = deque(wire.begun + int(number * NANOSECONDS / rate) for number in range(round(rate * seconds)))
        number = 0
        while due or wire.outstanding:
            now = time.perf_counter_ns()
            while due and wire.idle and due[0] <= now:
                content = request(number)
                if content is None:
                    due.clear()
                    break
                wire.send(content, due.popleft())
                number += 1
            wire.receive((due[0] - now) / NANOSECONDS if due and wire.idle else None)
        return wire.result()
