"""The operator's and the agent's image: which layers they have, what they run, and as whom.

Two images, since the operator needs no compiler. The agent's has the operator's large layer, so that a node with both holds it once.
"""

import shutil
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clew_lab.image import CHECKOUT
from clew_lab.images import python
from clew_lab.images.layers import layers, layers_key, python_packages, workshop
from clew_lab.images.oci import ImageConfig, write_image
from clew_lab.images.recipe import Recipe
from clew_lab.images.sbom import document
from clew_lab.keys import files_below, key_of

__all__ = ["recipes"]

_SBOM = "usr/share/clew/sbom.spdx.json"
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "bpf", "crds/clew_crds", "operator", "node_agent", "cli")
_RECIPE = tuple(f"lab/clew_lab/images/{name}.py" for name in ("oci", "product", "sbom"))
_PROGRAM = "#!/usr/bin/python3\nfrom {module} import main\n\nraise SystemExit(main())\n"
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin", "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the product that is an image."""

    name: str
    title: str
    layers: tuple[str, ...]
    user: str

    @property
    def command(self) -> str:
        return f"clew-{self.name}"

    @property
    def module(self) -> str:
        return f"clew_{self.name}.main"


_PARTS = (
    _Part("operator", "Clew's operator: carries tracing policies to the nodes", ("base",), user="65532:65532"),
    # Only root keeps capabilities across exec; the chart drops all but five of them.
    _Part("agent", "Clew's agent: traces on every node", ("base", "bcc"), user="0:0"),
)


def recipes(architecture: str = "amd64") -> list[Recipe]:
    """How the images are made for an architecture, amd64 or arm64."""
    version = str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])
    return [
        Recipe(
            name=f"clew/{part.name}:{version}",
            key=partial(_key, architecture),
            write=partial(_write, part, f"clew/{part.name}:{version}", architecture),
        )
        for part in _PARTS
    ]


def _key(architecture: str) -> str:
    return f"{layers_key()}-{key_of(files_below(CHECKOUT, (*_SOURCES, *_RECIPE)))}-{architecture}"


def _write(part: _Part, name: str, architecture: str, tar: Path) -> None:
    made = layers(architecture)
    below = [made.path / layer for layer in part.layers]
    modules = python.site_packages(made.base)
    with workshop() as shop:
        top = shop.work / "product"
        own_modules = top / modules.relative_to(made.base)
        own_modules.mkdir(parents=True)
        python.install_wheel(own_modules, python.build_wheel(CHECKOUT, shop.work), shop)
        python.compile_all(top, shop)
        program = top / "usr/local/bin" / part.command
        program.parent.mkdir()
        program.write_text(_PROGRAM.format(module=part.module))
        program.chmod(0o755)
        packages = [package for layer in part.layers for package in made.packages(layer)]
        text = document(name, architecture, packages, python_packages(modules) + python_packages(own_modules))
        sbom = top / _SBOM
        sbom.parent.mkdir(parents=True)
        sbom.write_text(text)
        write_image(tar, name, *below, top, config=_config(part, name, architecture))
        shutil.copy(sbom, tar.with_suffix(".spdx.json"))


def _config(part: _Part, name: str, architecture: str) -> ImageConfig:
    labels = {
        "dev.clew.sbom": f"/{_SBOM}",
        "org.opencontainers.image.description": part.title,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.title": f"clew-{part.name}",
        "org.opencontainers.image.version": name.rpartition(":")[2],
    }
    return ImageConfig(
        entrypoint=(part.command,), user=part.user, environment=_ENVIRONMENT, working_dir="/", labels=labels, architecture=architecture
    )
