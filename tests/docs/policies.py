"""The policies that stand in the docs as whole objects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clew_crds import TracingPolicy
from clew_crds.load import parse_policies

from tests.docs.commands import pages

__all__ = ["EXAMPLES", "Example", "examples"]

EXAMPLES = "docs/policy-examples.md"
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Example:
    """A block of a page with one or more policies."""

    page: str
    text: str

    @property
    def policies(self) -> list[TracingPolicy]:
        """What ``clew check`` makes of it. Raises ``PolicyError``."""
        return parse_policies(self.text, self.page)

    def __str__(self) -> str:
        names = re.findall(r"^metadata: \{name: (\S+)\}|^  name: (\S+)", self.text, re.MULTILINE)
        return f"{self.page}:{'+'.join(one or other for one, other in names)}"


def examples() -> Iterator[Example]:
    """All of them, in the order of pages; blocks that hold a part of a policy are none."""
    for page, text in pages().items():
        for block in _YAML.findall(text):
            if re.search(r"^kind: TracingPolicy$", block, re.MULTILINE):
                yield Example(page, block)
