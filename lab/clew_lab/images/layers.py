"""The two layers that the product's images have in common, in the cache: *base*, Python with the locked requirements, and *bcc* over it.

They change with Debian's packages, the lock file and this recipe, not with our code, so that a change of that makes new images in
seconds, and nodes fetch little.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from clew_lab.image import CHECKOUT, build_image, cache_dir, in_use, recipe_key
from clew_lab.images import debian, python
from clew_lab.images.packages import Package, closure
from clew_lab.images.sbom import PythonPackage
from clew_lab.keys import files_below, key_of

__all__ = ["ARCHITECTURES", "USERS", "Layers", "layers", "layers_key", "python_packages", "workshop"]

ARCHITECTURES = ("amd64", "arm64")

USERS = (("root", 0), ("clew", 65532))
"""The second is whom the chart runs the operator as."""

_BASE = ("base-files", "ca-certificates", "libpython3-stdlib", "libstdc++6", "python3-minimal")  # wheels leave libstdc++ to the system
_BCC = ("python3-bpfcc",)
# What serves to install packages (dpkg, debconf, awk), to keep certificates up to date (openssl) or to type commands (readline-common);
# time zones, which the requirements bring; and `python3`, which adds to libpython3-stdlib only tools of developers'.
_WITHOUT = frozenset({"awk", "debconf", "dpkg", "openssl", "python3", "readline-common", "tzdata"})
_CERTIFICATES = "usr/share/ca-certificates"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
# The asynchronous twin of the Kubernetes client is as large as the client, and nobody imports it.
_UNUSED = ("kubernetes/aio",)
_INPUTS = tuple(f"lab/clew_lab/images/{name}.py" for name in ("debian", "layers", "packages", "python"))
_REQUIREMENTS = "requirements/runtime.txt"
_INDEX = "packages.json"


@dataclass(frozen=True, slots=True)
class Layers:
    """The built layers, below `path`, for one architecture."""

    path: Path

    @property
    def base(self) -> Path:
        """Python, certificates, and the locked requirements."""
        return self.path / "base"

    @property
    def bcc(self) -> Path:
        """BCC, with LLVM and clang as libraries; no compiler that could be called."""
        return self.path / "bcc"

    def packages(self, layer: str) -> list[Package]:
        """Debian's packages in a layer, `base` or `bcc`."""
        found = json.loads((self.path / _INDEX).read_text())[layer]
        return [Package(fields["Package"], fields["Version"], fields["Architecture"], fields) for fields in found]


def layers_key(checkout: Path = CHECKOUT) -> str:
    """Tell what the layers are made from: the guests' root file system, which is the workshop, these modules and the lock file."""
    return f"{recipe_key(checkout)}-{key_of(files_below(checkout, (*_INPUTS, _REQUIREMENTS)))}"


def layers(architecture: str) -> Layers:
    """Return the layers, built if they are not there yet; the caller holds the lock on the images."""
    built = cache_dir() / "oci" / "layers" / f"{layers_key()}-{architecture}"
    if not built.exists():
        with workshop() as shop:
            _build(shop, architecture)
            built.parent.mkdir(parents=True, exist_ok=True)
            (shop.work / "done").rename(built)
    return Layers(built)


@contextmanager
def workshop() -> Iterator[debian.Workshop]:
    """A workshop with a work folder in the cache that goes with it."""
    building = cache_dir() / "oci" / "building"
    building.mkdir(parents=True, exist_ok=True)
    image = build_image()
    with in_use(image), tempfile.TemporaryDirectory(dir=building) as work:
        yield debian.Workshop(image.root, Path(work), cache_dir() / "debs")


def _build(shop: debian.Workshop, architecture: str) -> None:
    done = shop.work / "done"
    made = Layers(done)
    made.base.mkdir(parents=True)
    made.bcc.mkdir()
    debian.lay_out(made.base, USERS)
    index = debian.available(shop, architecture)
    base = closure(index, _BASE, _WITHOUT)
    bcc = [package for package in closure(index, _BCC, _WITHOUT) if package not in base]
    debian.unpack(made.base, base, shop, architecture)
    debian.unpack(made.bcc, bcc, shop, architecture)
    _bundle_certificates(made.base)
    modules = python.site_packages(made.base)
    python.install_requirements(modules, CHECKOUT / _REQUIREMENTS, shop, architecture)
    for name in _UNUSED:
        shutil.rmtree(modules / name)
    for layer in (made.base, made.bcc):
        python.compile_all(layer, shop)
    listed = {"base": base, "bcc": bcc}
    (done / _INDEX).write_text(json.dumps({name: [dict(package.fields) for package in packages] for name, packages in listed.items()}))


def _bundle_certificates(root: Path) -> None:
    """Join the certificates in one file, which OpenSSL reads; Debian does so when it configures the package."""
    single = sorted((root / _CERTIFICATES).glob("mozilla/*.crt"))
    (root / _BUNDLE).parent.mkdir(parents=True, exist_ok=True)
    (root / _BUNDLE).write_text("".join(path.read_text() for path in single))
    shutil.rmtree(root / _CERTIFICATES)


def python_packages(folder: Path) -> list[PythonPackage]:
    """The Python packages that are installed in a folder, sorted by name."""
    found = []
    for one in distributions(path=[str(folder)]):
        said = one.metadata.json
        found.append(PythonPackage(str(said["name"]), str(said["version"]), str(said.get("license_expression", ""))))
    return sorted(found, key=lambda package: package.name.lower())
