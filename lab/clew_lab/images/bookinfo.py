"""The images of ``examples/bookinfo``, and that of the load generator: a runtime's layer, and the plain sources over it.

Each of them runs as an ordinary user, writes nothing to its root file system, and has no shell.
"""

import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from clew_lab.image import CHECKOUT
from clew_lab.images import python
from clew_lab.images.debian import Workshop
from clew_lab.images.layers import workshop
from clew_lab.images.oci import ImageConfig, write_image
from clew_lab.images.recipe import Recipe
from clew_lab.images.runtimes import ARCHITECTURE, JAVA_HOME, USER, runtime_layers, runtimes_key
from clew_lab.keys import files_below, key_of

__all__ = ["load_image", "recipes"]

_APP = Path("/app")
_SOURCES = "examples/bookinfo"
_CLASSES = "classes"
_RECIPE = ("lab/clew_lab/images/bookinfo.py", "lab/clew_lab/images/oci.py")
# Neither loads what a small server has no use for.
_RUBY = ("ruby", "--disable=did_you_mean", "--disable=error_highlight", "--disable=syntax_suggest")
_JAVA = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto")
_LOAD = ("lab/clew_lab/__init__.py", "lab/clew_lab/load")


@dataclass(frozen=True, slots=True)
class _Program:
    """A program that is an image: its runtime, the files of the checkout that it is made of, how they get into /app, what is run."""

    runtime: str
    sources: tuple[str, ...]
    fill: Callable[[Path, Workshop], None]
    entrypoint: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def recipes(architecture: str = ARCHITECTURE) -> list[Recipe]:
    """How the images are made; there are none but for amd64."""
    if architecture != ARCHITECTURE:
        return []
    version = str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])
    return [
        Recipe(
            name=f"clew/{name}:{version}",
            key=partial(_key, program),
            write=partial(_write, program, f"clew/{name}:{version}"),
        )
        for name, program in _programs().items()
    ]


def load_image() -> str:
    """The name of the load generator's image, which has Python and nothing but it."""
    (name,) = (recipe.name for recipe in recipes() if recipe.name.startswith("clew/load:"))
    return name


def _programs() -> dict[str, _Program]:
    details, ratings, page = "details/details.rb", "ratings/ratings.js", "productpage/productpage.py"
    reviews, java = f"{_SOURCES}/reviews/Reviews.java", (*_JAVA, "-cp", f"{_APP}/{_CLASSES}", "Reviews")
    return {
        "bookinfo-details": _Program("ruby", (f"{_SOURCES}/{details}",), partial(_copy, details), (*_RUBY, f"{_APP}/{details}")),
        "bookinfo-ratings": _Program("node", (f"{_SOURCES}/{ratings}",), partial(_copy, ratings), ("node", f"{_APP}/{ratings}")),
        "bookinfo-reviews": _Program("java", (reviews,), _compile_reviews, java, {"PATH": f"/{JAVA_HOME}/bin"}),
        "bookinfo-productpage": _Program("python", (f"{_SOURCES}/{page}",), partial(_copy, page), ("python3", f"{_APP}/{page}")),
        "load": _Program("python", _LOAD, _copy_load, ("python3", "-m", "clew_lab.load"), {"PYTHONPATH": str(_APP)}),
    }


def _key(program: _Program) -> str:
    return f"{runtimes_key()}-{key_of(files_below(CHECKOUT, (*program.sources, *_RECIPE)))}"


def _write(program: _Program, name: str, tar: Path) -> None:
    runtime = runtime_layers() / program.runtime
    with workshop() as shop:
        top = shop.work / "top"
        app = top / _APP.relative_to("/")
        app.mkdir(parents=True)
        program.fill(app, shop)
        write_image(tar, name, runtime, top, config=_config(program, name))


def _config(program: _Program, name: str) -> ImageConfig:
    title, _, version = name.partition("/")[2].partition(":")
    labels = {
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.title": title,
        "org.opencontainers.image.version": version,
    }
    environment = {"LANG": "C.UTF-8", "PATH": "/usr/bin", **program.environment}
    return ImageConfig(entrypoint=program.entrypoint, user=f"{USER}:{USER}", environment=environment, working_dir=str(_APP), labels=labels)


def _copy(source: str, app: Path, _: Workshop) -> None:
    """Copy one file of the example's folder."""
    (app / source).parent.mkdir()
    shutil.copyfile(CHECKOUT / _SOURCES / source, app / source)


def _compile_reviews(app: Path, shop: Workshop) -> None:
    shutil.copyfile(CHECKOUT / _SOURCES / "reviews/Reviews.java", shop.work / "Reviews.java")
    shop.run("javac", "-d", f"/tmp/{app.relative_to(shop.work)}/{_CLASSES}", "/tmp/Reviews.java")


def _copy_load(app: Path, shop: Workshop) -> None:
    for name, source in files_below(CHECKOUT, _LOAD).items():
        target = app / Path(name).relative_to("lab")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    python.compile_all(app, shop)
