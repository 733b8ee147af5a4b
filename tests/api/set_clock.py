"""The operator with a wall clock that a test can set: ``python -m tests.api.set_clock FILE run ...``; FILE has the seconds to add.

The machine's clock is shared with everything else that runs on it, so what is replaced is how this one process reads it.
"""

from __future__ import annotations

import datetime
import sys
import time
from pathlib import Path


def set_clock(file: Path) -> None:
    """Have both ways by which Python code reads the wall clock go by ``file``, in all modules that are imported from now on."""
    real = time.time

    def shifted() -> float:
        return real() + float(file.read_text())

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Shifted:
            return cls.fromtimestamp(shifted(), tz)

    time.time = shifted
    datetime.datetime = Shifted  # type: ignore[misc]


if __name__ == "__main__":
    set_clock(Path(sys.argv[1]))
    from clew_operator.main import main

    sys.exit(main(sys.argv[2:]))
