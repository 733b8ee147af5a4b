"""Memory that was needed for a moment goes back to the system: the kernel's types, read to build programs, are tens of megabytes.

They refer to one another, so only the collector frees them; and the C library keeps what is freed in the middle of its heaps, of
which it gives one to each thread.
"""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8  # malloc.h


def give_back() -> None:
    """Free what is unreachable, and what the C library keeps for later (malloc_trim(3); libraries without it keep it)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def share_heap() -> None:
    """Have all threads that are to come share one heap (mallopt(3); other C libraries have but one). To be called before they start."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
