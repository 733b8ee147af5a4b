"""Files of a checkout that a program makes: written where they are not what they shall be, or only named.

Each such program (``python -m clew_crds.generate``, ``python -m clew_lab.chart``) says what its files shall hold; the rest is here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Files = Mapping[Path, str | None]
"""What each file shall hold; None where there shall be no such file."""

_END = "<!-- end -->\n"


def with_part(page: str, begin: str, part: str) -> str:
    """A page of Markdown with what a program makes between the line ``begin`` and the end mark; what people wrote around it stays."""
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{part}{_END}{rest.partition(_END)[2]}"


def differing(files: Files) -> Files:
    """Those of the files that are not what they shall be."""
    return {path: text for path, text in files.items() if text != (path.read_text() if path.is_file() else None)}


def make(program: str, about: str, source: str, generated: Callable[[Path], Files], arguments: Sequence[str] | None, checkout: Path) -> int:
    """The command line of such a program, whose files are made from ``source``. With ``--check``, 1 when a file differs."""
    parser = argparse.ArgumentParser(prog=program, description=about)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    check = parser.parse_args(arguments).check
    files = differing(generated(checkout))
    for path, text in files.items():
        if check:
            print(f"{path.relative_to(checkout)}: differs from {source}; run `{program}`", file=sys.stderr)
            continue
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        print(path.relative_to(checkout))
    return 1 if check and files else 0
