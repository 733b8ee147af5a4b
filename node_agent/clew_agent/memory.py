"""Memory that was needed for a moment goes back to the system: the kernel's types, read to build programs, are tens of megabytes.

They refer to one another, so only the collector frees them; and the C library keeps what is freed in the middle of its heap.
"""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Free what is unreachable, and what the C library keeps for later (malloc_trim(3); libraries without it keep it)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
