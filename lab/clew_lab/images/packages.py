"""Debian packages as apt describes them, and which of them an image needs.

An image holds what its programs load, not a whole Debian: no package is configured in it, so what only serves to install packages
is cut off. Everything here is pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Package", "PackageError", "closure", "parse", "status_of"]

_STATUS_FIELDS = ("Package", "Status", "Source", "Version", "Architecture", "Multi-Arch", "Maintainer", "Homepage", "Depends")


class PackageError(ValueError):
    """A package is missing; the message says which, and what wanted it."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package at one version."""

    name: str
    version: str
    architecture: str
    fields: Mapping[str, str]
    """All that the index says of it, each field in one line."""

    @property
    def file_name(self) -> str:
        """The name of its .deb file, as apt and debootstrap write it."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    @property
    def source(self) -> tuple[str, str]:
        """Name and version of the source package that it was built from."""
        name, _, version = self.fields.get("Source", self.name).partition(" ")
        return name, version.strip("()") or self.version


def parse(index: str) -> dict[str, Package]:
    """The packages of an index in Debian's control format, by name. Continued lines are left out: only descriptions have them."""
    packages = {}
    for stanza in index.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line[0].isspace())
        if fields:
            packages[fields["Package"]] = Package(fields["Package"], fields["Version"], fields["Architecture"], fields)
    return packages


def closure(available: Mapping[str, Package], wanted: Iterable[str], without: frozenset[str]) -> list[Package]:
    """The packages wanted and all that they depend on, sorted by name; those in `without`, and what only they need, are left out.

    Of alternatives the first that is available is taken. Raises ``PackageError`` for a dependency that has none.
    """
    taken: dict[str, Package] = {}
    ahead = [(name, "the image") for name in wanted]
    while ahead:
        name, by = ahead.pop()
        if name in taken:
            continue
        if name not in available:
            raise PackageError(f"no package {name}, which {by} needs")
        taken[name] = available[name]
        for alternatives in _dependencies(available[name]):
            if without.isdisjoint(alternatives):
                ahead.append((next((one for one in alternatives if one in available), alternatives[0]), name))
    return sorted(taken.values(), key=lambda package: package.name)


def _dependencies(package: Package) -> Iterator[list[str]]:
    """Each thing that a package depends on, as the names of its alternatives."""
    for field in ("Pre-Depends", "Depends"):
        for clause in filter(None, package.fields.get(field, "").split(",")):
            yield [re.split(r"[\s:(]", one.strip(), maxsplit=1)[0] for one in clause.split("|")]


def status_of(package: Package) -> str:
    """What scanners read below /var/lib/dpkg/status.d to know that a package is there."""
    fields = {**package.fields, "Status": "install ok installed"}
    return "".join(f"{name}: {fields[name]}\n" for name in _STATUS_FIELDS if name in fields)
