"""The list of what is in an image, as SPDX."""

import json
import re
from typing import Any

import pytest
from clew_lab.images.packages import Package
from clew_lab.images.sbom import PythonPackage, document

LIBSTDCXX = {"Source": "gcc-14 (14.2.0-19)", "SHA256": "ab" * 32}
DEBIAN = [
    Package("libstdc++6", "1:14.2.0-19+b1", "amd64", LIBSTDCXX),
    Package("netbase", "6.5", "all", {"SHA256": "cd" * 32}),
]
PYTHON = [PythonPackage("PyYAML", "6.0.3", "MIT"), PythonPackage("google_api.common", "1.0+local", "")]


def made(**changes: Any) -> dict[str, Any]:
    arguments = {"image": "clew/agent:0.1.0", "architecture": "amd64", "debian": DEBIAN, "python": PYTHON, **changes}
    return dict(json.loads(document(**arguments)))


def test_the_same_content_gives_the_same_text() -> None:
    assert made() == made()


def test_who_it_is_about() -> None:
    found = made()
    assert {name: found[name] for name in ("spdxVersion", "dataLicense", "SPDXID", "name", "creationInfo")} == {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "clew-agent-0.1.0-amd64",
        "creationInfo": {"created": "1970-01-01T00:00:00Z", "creators": ["Tool: clew-lab"]},
    }
    image = found["packages"][0]
    assert (image["name"], image["versionInfo"], image["primaryPackagePurpose"]) == ("clew/agent", "0.1.0", "CONTAINER")


@pytest.mark.parametrize(
    ("reference", "name", "version", "url"),
    [
        ("SPDXRef-image", "clew/agent", "0.1.0", "pkg:oci/agent@0.1.0?arch=amd64"),
        (
            "SPDXRef-deb-libstdc--6",
            "libstdc++6",
            "1:14.2.0-19+b1",
            "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19%2Bb1?arch=amd64&distro=trixie",
        ),
        ("SPDXRef-deb-netbase", "netbase", "6.5", "pkg:deb/debian/netbase@6.5?arch=all&distro=trixie"),
        ("SPDXRef-python-pyyaml", "PyYAML", "6.0.3", "pkg:pypi/pyyaml@6.0.3"),
        ("SPDXRef-python-google-api-common", "google_api.common", "1.0+local", "pkg:pypi/google-api-common@1.0%2Blocal"),
    ],
)
def test_each_package(reference: str, name: str, version: str, url: str) -> None:
    (found,) = (package for package in made()["packages"] if package["SPDXID"] == reference)
    assert (found["name"], found["versionInfo"]) == (name, version)
    assert found["externalRefs"] == [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}]


def test_where_a_package_comes_from_and_its_licence() -> None:
    found = {package["SPDXID"]: package for package in made()["packages"]}
    library = found["SPDXRef-deb-libstdc--6"]
    assert library["sourceInfo"] == "built from the source package gcc-14 14.2.0-19"
    assert library["checksums"] == [{"algorithm": "SHA256", "checksumValue": "ab" * 32}]
    licences = [found[f"SPDXRef-python-{name}"]["licenseDeclared"] for name in ("pyyaml", "google-api-common")]
    assert licences == ["MIT", "NOASSERTION"]


def test_the_image_contains_them_all_and_references_are_as_the_format_has_them() -> None:
    found = made()
    ids = [package["SPDXID"] for package in found["packages"]]
    assert len(set(ids)) == len(ids) == 5
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", one) for one in ids)
    relations = [(one["spdxElementId"], one["relationshipType"], one["relatedSpdxElement"]) for one in found["relationships"]]
    assert relations == [("SPDXRef-DOCUMENT", "DESCRIBES", ids[0]), *((ids[0], "CONTAINS", one) for one in ids[1:])]


def test_other_content_has_another_namespace() -> None:
    spaces = [made()["documentNamespace"], made(debian=DEBIAN[:1])["documentNamespace"]]
    assert spaces[0] != spaces[1]
    assert all(re.fullmatch(r"https://clew\.dev/spdx/clew-agent-0\.1\.0-amd64-[0-9a-f]{16}", one) for one in spaces)
