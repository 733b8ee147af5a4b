"""Writes what follows from the models: the CustomResourceDefinitions in ``crds/`` and the fields in ``docs/api.md``.

``python -m clew_crds.generate`` writes the files of the checkout; with ``--check`` it names those that differ, and writes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from clew_crds.crd import KINDS, Kind, definition
from clew_crds.reference import reference

CHECKOUT = Path(__file__).resolve().parents[2]
_HEADER = "# Made from the models in crds/clew_crds by `python -m clew_crds.generate`: edit those.\n"
_BEGIN = "<!-- Made by `python -m clew_crds.generate`: edit the models. -->\n"
_END = "<!-- end -->\n"


class _Plain(yaml.SafeDumper):
    """PyYAML's safe dumper, which writes what occurs twice twice: the API server takes anchors, but people do not read them."""

    def ignore_aliases(self, data: Any) -> bool:
        """Every time."""
        return True


def definition_text(kind: Kind) -> str:
    """The file of one CustomResourceDefinition."""
    return _HEADER + yaml.dump(definition(kind), Dumper=_Plain, sort_keys=False, width=140, allow_unicode=True)


def generated(checkout: Path) -> dict[Path, str]:
    """What each file shall hold. ``docs/api.md`` keeps what stands before and after its generated part."""
    files = {checkout / "crds" / f"{kind.definition_name}.yaml": definition_text(kind) for kind in KINDS}
    page = checkout / "docs" / "api.md"
    before, _, rest = page.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    return files | {page: f"{before}{_BEGIN}{reference(KINDS)}{_END}{after}"}


def differing(checkout: Path) -> dict[Path, str]:
    """Those files, with what they shall hold, that are missing or hold something else."""
    return {path: text for path, text in generated(checkout).items() if not path.is_file() or path.read_text() != text}


def main(arguments: Sequence[str] | None = None, checkout: Path = CHECKOUT) -> int:
    """The command line. With ``--check``, 1 when a file differs."""
    parser = argparse.ArgumentParser(prog="python -m clew_crds.generate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    check = parser.parse_args(arguments).check
    files = differing(checkout)
    for path, text in files.items():
        if check:
            print(f"{path.relative_to(checkout)}: differs from the models; run `python -m clew_crds.generate`", file=sys.stderr)
        else:
            path.write_text(text)
            print(path.relative_to(checkout))
    return 1 if check and files else 0


if __name__ == "__main__":
    sys.exit(main())
