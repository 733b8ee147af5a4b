"""What is in an image, as an SPDX 2.3 document: Debian's packages and Python's, each with the URL that scanners know it by. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from clew_lab.config import BASE_SUITE
from clew_lab.images.packages import Package

__all__ = ["PythonPackage", "document"]

# The format demands a time. The same image always has the same document, so this is none in particular.
_CREATED = "1970-01-01T00:00:00Z"
_NAMESPACE = "https://clew.dev/spdx"


@dataclass(frozen=True, slots=True)
class PythonPackage:
    """A Python package as its metadata describe it; `licence` is an SPDX expression, or empty where they have none."""

    name: str
    version: str
    licence: str


def document(image: str, architecture: str, debian: Iterable[Package], python: Iterable[PythonPackage]) -> str:
    """Return the document of an image such as clew/operator:0.1.0 as JSON; the same content gives the same text."""
    name, _, version = image.rpartition(":")
    parts = [_debian(package) for package in debian] + [_python(package) for package in python]
    content = json.dumps(parts, sort_keys=True)
    title = f"{name.replace('/', '-')}-{version}-{architecture}"
    whole = _package("image", name, version, f"pkg:oci/{quote(name.rpartition('/')[2])}@{quote(version)}?arch={architecture}")
    described: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "dataLicense": "CC0-1.0",
        "name": title,
        "documentNamespace": f"{_NAMESPACE}/{title}-{hashlib.sha256(content.encode()).hexdigest()[:16]}",
        "creationInfo": {"created": _CREATED, "creators": ["Tool: clew-lab"]},
        "packages": [whole | {"primaryPackagePurpose": "CONTAINER"}, *parts],
        "relationships": [_relation("SPDXRef-DOCUMENT", "DESCRIBES", whole), *_contains(whole, parts)],
    }
    return json.dumps(described, indent=1) + "\n"


def _debian(package: Package) -> dict[str, Any]:
    source, source_version = package.source
    url = f"pkg:deb/debian/{quote(package.name)}@{quote(package.version)}?arch={package.architecture}&distro={BASE_SUITE}"
    return _package(f"deb-{package.name}", package.name, package.version, url) | {
        "sourceInfo": f"built from the source package {source} {source_version}",
        "checksums": [{"algorithm": "SHA256", "checksumValue": package.fields["SHA256"]}],
    }


def _python(package: PythonPackage) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", package.name).lower()
    made = _package(f"python-{name}", package.name, package.version, f"pkg:pypi/{name}@{quote(package.version)}")
    return made | {"licenseDeclared": package.licence or "NOASSERTION"}


def _package(reference: str, name: str, version: str, url: str) -> dict[str, Any]:
    return {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", reference),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}],
    }


def _contains(whole: dict[str, Any], parts: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    return [_relation(whole["SPDXID"], "CONTAINS", part) for part in parts]


def _relation(one: str, kind: str, other: dict[str, Any]) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other["SPDXID"]}
