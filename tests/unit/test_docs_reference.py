"""docs/options.md has every option of the programs, as they say of themselves; ``WRITE_DOCS=1`` writes it."""

from __future__ import annotations

import os

from tests.docs.commands import CHECKOUT
from tests.docs.parsers import parse, reference

PAGE = CHECKOUT / "docs/options.md"
MARK = "<!-- Made by `WRITE_DOCS=1 .venv/bin/pytest tests/unit/test_docs_reference.py`: edit the programs. -->\n"
LINES = {"clew": ("decode", "0"), "clew-agent": ("run", "--cluster"), "clew-operator": ("run",)}
"""The programs of the product, each with a command line that it understands."""


def test_the_page_says_what_the_programs_say() -> None:
    made = "".join(f"\n## {program}\n\n{reference(parse(program, line))}" for program, line in LINES.items())
    kept, mark, written = PAGE.read_text().partition(MARK)
    assert mark
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(kept + mark + made)
    else:
        assert written == made, "WRITE_DOCS=1 writes it into the page"
