"""Debian's packages as apt describes them, and which of them an image needs."""

import pytest
from clew_lab.images.packages import Package, PackageError, closure, parse, status_of
from hypothesis import given
from hypothesis import strategies as st

INDEX = """\
Package: libc6
Source: glibc
Version: 2.41-12
Architecture: amd64
Multi-Arch: same
Depends: libgcc-s1
Description: GNU C Library
 Shared libraries: those that nearly
 every program uses.
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>

Package: libgcc-s1
Source: gcc-14 (14.2.0-19)
Version: 14.2.0-19+b1
Architecture: amd64
Depends: gcc-14-base (= 14.2.0-19), libc6 (>= 2.35)

Package: gcc-14-base
Version: 1:14.2.0-19
Architecture: all

Package: tool
Version: 1
Architecture: amd64
Pre-Depends: libc6 (>= 2.38)
Depends: dpkg (>= 1.13.20), python3:any, awk | mawk [amd64], gone | gcc-14-base
"""
PACKAGES = parse(INDEX)


def names(packages: list[Package]) -> list[str]:
    return [package.name for package in packages]


def test_what_an_index_says() -> None:
    assert list(PACKAGES) == ["libc6", "libgcc-s1", "gcc-14-base", "tool"]
    libc6 = PACKAGES["libc6"]
    assert (libc6.version, libc6.architecture, libc6.fields["Description"]) == ("2.41-12", "amd64", "GNU C Library")
    assert "Shared libraries" not in libc6.fields


def test_source_packages() -> None:
    assert [PACKAGES[name].source for name in ("libc6", "libgcc-s1", "gcc-14-base")] == [
        ("glibc", "2.41-12"),
        ("gcc-14", "14.2.0-19"),
        ("gcc-14-base", "1:14.2.0-19"),
    ]


def test_file_names_are_those_of_apt() -> None:
    assert PACKAGES["gcc-14-base"].file_name == "gcc-14-base_1%3a14.2.0-19_all.deb"


def test_dependencies_come_along_each_once() -> None:
    assert names(closure(PACKAGES, ["libc6"], frozenset())) == ["gcc-14-base", "libc6", "libgcc-s1"]


def test_what_is_left_out_brings_nothing() -> None:
    assert names(closure(PACKAGES, ["libc6"], frozenset({"gcc-14-base"}))) == ["libc6", "libgcc-s1"]
    without = frozenset({"dpkg", "python3", "mawk", "libgcc-s1"})
    assert names(closure(PACKAGES, ["tool"], without)) == ["gcc-14-base", "libc6", "tool"]


def test_of_alternatives_the_available_one_is_taken() -> None:
    without = frozenset({"dpkg", "python3", "awk", "libc6"})
    assert names(closure(PACKAGES, ["tool"], without)) == ["gcc-14-base", "tool"]


@pytest.mark.parametrize(
    ("wanted", "without", "message"),
    [
        ("python4", [], "no package python4, which the image needs"),
        ("tool", ["python3", "awk"], "no package dpkg, which tool needs"),
    ],
)
def test_what_is_missing_is_named(wanted: str, without: list[str], message: str) -> None:
    with pytest.raises(PackageError, match=f"^{message}$"):
        closure(PACKAGES, [wanted], frozenset(without))


def test_what_scanners_read() -> None:
    assert status_of(PACKAGES["libgcc-s1"]) == (
        "Package: libgcc-s1\nStatus: install ok installed\nSource: gcc-14 (14.2.0-19)\nVersion: 14.2.0-19+b1\nArchitecture: amd64\n"
        "Depends: gcc-14-base (= 14.2.0-19), libc6 (>= 2.35)\n"
    )


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sets(st.sampled_from("abcdefgh")), min_size=8), st.sets(st.sampled_from("bcdefgh")))
def test_a_closure_is_closed_and_no_larger(graph: dict[str, set[str]], without: set[str]) -> None:
    fields = {name: {"Depends": ", ".join(sorted(needs))} if needs else {} for name, needs in graph.items()}
    packages = {name: Package(name, "1", "all", said) for name, said in fields.items()}
    found = set(names(closure(packages, ["a"], frozenset(without))))
    assert found & without == set()
    assert {need for name in found for need in graph[name]} - without | {"a"} == found
