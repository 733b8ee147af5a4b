"""The runtimes of Bookinfo's services, a layer each, in the cache: Debian's Python, Ruby, Node.js and Java.

They change with Debian's packages and this recipe, not with the services, so that a change of those makes new images in seconds.
Ruby, Node.js and Python are unpacked without packages that no service needs. Of the JDK that the guests have, jlink takes the modules
that the service uses: 65 MB instead of 200.
"""

from dataclasses import dataclass
from pathlib import Path

from clew_lab.image import CHECKOUT, cache_dir, recipe_key
from clew_lab.images import debian, python
from clew_lab.images.layers import workshop
from clew_lab.images.packages import closure, parse, status_of
from clew_lab.keys import files_below, key_of

__all__ = ["ARCHITECTURE", "JAVA_HOME", "USER", "runtime_layers", "runtimes_key"]

ARCHITECTURE = "amd64"
"""The only one: jlink leaves out what a Java of another architecture needs at its start (an archive of loaded classes)."""

USER = 65532
JAVA_HOME = "usr/lib/jvm/java"

_USERS = (("root", 0), ("app", USER))
_JDK = "openjdk-21-jdk-headless"
_JAVA_MODULES = "java.base,java.logging,jdk.httpserver"
_INPUTS = tuple(f"lab/clew_lab/images/{name}.py" for name in ("debian", "packages", "python", "runtimes"))
# What serves to install packages, to type commands or to keep certificates; and libraries of modules that no service imports.
_WITHOUT = {"awk", "ca-certificates", "debconf", "dpkg", "openssl", "openssl-provider-legacy", "readline-common", "tzdata"}


@dataclass(frozen=True, slots=True)
class _Runtime:
    """The packages of a runtime, and what they depend on and it never loads."""

    packages: tuple[str, ...]
    without: frozenset[str] = frozenset()


_RUNTIMES = {
    "java": _Runtime(("libstdc++6", "zlib1g")),
    "node": _Runtime(("nodejs",), frozenset({"node-corepack"})),
    "python": _Runtime(
        ("libpython3-stdlib", "python3-minimal"),
        frozenset({"libdb5.3t64", "libncursesw6", "libreadline8t64", "libsqlite3-0", "libuuid1", "media-types", "netbase"}),
    ),
    "ruby": _Runtime(
        ("ruby", "ruby-webrick"),
        frozenset({"rake", "ruby-csv", "ruby-did-you-mean", "ruby-net-telnet", "ruby-ruby2-keywords", "ruby-xmlrpc"}),
    ),
}


def runtimes_key() -> str:
    """Tell what the runtimes are made from: the guests' root file system, which is the workshop and has the JDK, and these modules."""
    return f"{recipe_key()}-{key_of(files_below(CHECKOUT, _INPUTS))}"


def runtime_layers() -> Path:
    """Return the folder of the layers java, node, python and ruby, built if it is not there; the caller holds the lock on the images."""
    built = cache_dir() / "oci" / "layers" / f"runtimes-{runtimes_key()}"
    if not built.exists():
        with workshop() as shop:
            index = debian.available(shop, ARCHITECTURE)
            for name, runtime in _RUNTIMES.items():
                root = shop.work / "done" / name
                root.mkdir(parents=True)
                debian.lay_out(root, _USERS)
                packages = closure(index, ("base-files", *runtime.packages), runtime.without | _WITHOUT)
                debian.unpack(root, packages, shop, ARCHITECTURE)
            _link_java(shop.work / "done" / "java", shop)
            python.compile_all(shop.work / "done" / "python", shop)
            built.parent.mkdir(parents=True, exist_ok=True)
            (shop.work / "done").rename(built)
    return built


def _link_java(root: Path, shop: debian.Workshop) -> None:
    """Put a Java of the service's modules below `root`, with the archive of loaded classes that halves its start."""
    inside = f"/tmp/{root.relative_to(shop.work)}/{JAVA_HOME}"
    small = ("--strip-java-debug-attributes", "--no-man-pages", "--no-header-files", "--dedup-legal-notices=error-if-not-same-content")
    (root / JAVA_HOME).parent.mkdir(parents=True)
    shop.run("jlink", "--add-modules", _JAVA_MODULES, *small, "--generate-cds-archive", "--output", inside)
    (root / JAVA_HOME / "lib/server/classes_nocoops.jsa").unlink()  # for heaps above 32 GB
    installed = parse((shop.root / "var/lib/dpkg/status").read_text())
    (root / debian.STATUS_FOLDER / _JDK).write_text(status_of(installed[_JDK]))
