"""Writes what follows from the models: the CustomResourceDefinitions in ``crds/`` and the fields in ``docs/api.md``.

``python -m clew_crds.generate`` writes the files of the checkout; with ``--check`` it names those that differ, and writes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from clew_crds.crd import KINDS, Kind, definition
from clew_crds.made_files import Files, make, with_part
from clew_crds.reference import reference

CHECKOUT = Path(__file__).resolve().parents[2]
_HEADER = "# Made from the models in crds/clew_crds by `python -m clew_crds.generate`: edit those.\n"
_BEGIN = "<!-- Made by `python -m clew_crds.generate`: edit the models. -->\n"


class _Plain(yaml.SafeDumper):
    """PyYAML's safe dumper, which writes what occurs twice twice: the API server takes anchors, but people do not read them."""

    def ignore_aliases(self, data: Any) -> bool:
        """Every time."""
        return True


def definition_text(kind: Kind) -> str:
    """The file of one CustomResourceDefinition."""
    return _HEADER + yaml.dump(definition(kind), Dumper=_Plain, sort_keys=False, width=140, allow_unicode=True)


def generated(checkout: Path) -> Files:
    """What each file shall hold. ``docs/api.md`` keeps what stands before and after its generated part."""
    definitions = {checkout / "crds" / f"{kind.definition_name}.yaml": definition_text(kind) for kind in KINDS}
    page = checkout / "docs" / "api.md"
    return {**definitions, page: with_part(page.read_text(), _BEGIN, reference(KINDS))}


def main(arguments: Sequence[str] | None = None, checkout: Path = CHECKOUT) -> int:
    """The command line."""
    about = (__doc__ or "").splitlines()[0]
    return make("python -m clew_crds.generate", about, "the models", generated, arguments, checkout)


if __name__ == "__main__":
    sys.exit(main())
