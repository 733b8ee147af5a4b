"""One C text out of many files, since BCC rewrites only the text that it is given.

``#include "x.h"`` of our own files is expanded in place, each file once. A ``#line`` directive in front of each piece lets the
compiler name the file and line of a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_INCLUDE = re.compile(r'^#include "([^"]+)"\s*$', re.MULTILINE)


def assemble(names: Iterable[str], read: Callable[[str], str]) -> str:
    """The text of the files of those names, in order, with their own includes expanded.

    ``read`` gives a file's text by its name. Whatever ``read`` raises for a missing file passes through.
    """
    seen: set[str] = set()
    return "".join(_expand(name, read, seen) for name in names)


def _expand(name: str, read: Callable[[str], str], seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    text = read(name)
    parts = [f'#line 1 "{name}"\n']
    at = 0
    for found in _INCLUDE.finditer(text):
        parts.append(text[at : found.start()])
        parts.append(_expand(found.group(1), read, seen))
        at = found.end() + 1
        line = text.count("\n", 0, at) + 1
        parts.append(f'#line {line} "{name}"\n')
    parts.append(text[at:])
    return "".join(parts) + "\n"
