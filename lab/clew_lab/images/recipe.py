"""How an image is declared, so that one command makes them all: ``clew_lab.images.build`` joins the declarations."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image that the project makes."""

    name: str
    """Such as clew/operator:0.1.0."""

    key: Callable[[], str]
    """Tells what it is made from (:mod:`clew_lab.keys`): an image is made anew when its key is another."""

    write: Callable[[Path], object]
    """Writes the image's tar to this path (:func:`clew_lab.images.oci.write_image`), and beside it what belongs to it."""
