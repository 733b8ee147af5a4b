"""Where the figures that kernel tests measure go: into the one report that there is on the host."""

from tests.figures import Record

__all__ = ["Record"]
