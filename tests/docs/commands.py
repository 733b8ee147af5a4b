"""The commands of the docs: those that a reader is to type, and those that the text mentions. Pure.

A command to type stands in a block ``sh``, one a line, or in a block ``console``, in a line that begins with ``$ `` and has what it
prints below it. A line that ends in a backslash goes on in the next one; what follows `` # `` is a remark. A code span in the text that
begins with the name of a program mentions a command, in whole or its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CHECKOUT", "hidden", "is_begun_by", "mentioned", "pages", "typed"]

CHECKOUT = Path(__file__).parents[2]
_PAGES = ("README.md", "CONTRIBUTING.md", "charts/clew/README.md", "examples/bookinfo/README.md", "docs/*.md")
"""What tells people what to do; records of decisions (``docs/decisions``) do not."""

_PROGRAMS = (
    *("kubectl", "helm", "clew", "clew-lab", "clew-agent", "clew-operator", "make", "python", "python3", "pip", "uv"),
    *("docker", "ctr", "crane", "skopeo", "git", "go", "chromium", "curl", "eval", "uname", r"\.venv/bin/[a-z-]+"),
)
_PROGRAM = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{'|'.join(_PROGRAMS)}) +\S")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_REMARK = re.compile(r"(^|\s+)# .*$")
_PROMPT = "$ "
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]+")
_SYNOPSIS = re.compile(r"[\[|…]")


def pages() -> dict[str, str]:
    """The text of each page, by its path in the checkout."""
    found = [path for pattern in _PAGES for path in sorted(CHECKOUT.glob(pattern))]
    return {str(path.relative_to(CHECKOUT)): path.read_text() for path in found}


def typed(page: str) -> list[str]:
    """The commands in a page's blocks, each on one line and without its remark."""
    return [command for language, text in _BLOCK.findall(page) for command in _commands(language, text)]


def _commands(language: str, text: str) -> Iterator[str]:
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    if language == "sh":
        yield from filter(None, (_REMARK.sub("", line).strip() for line in lines))
    if language == "console":
        yield from (_REMARK.sub("", line.removeprefix(_PROMPT)).strip() for line in lines if line.startswith(_PROMPT))


def mentioned(page: str) -> list[str]:
    """The commands in a page's code spans; of a synopsis, what stands before the first choice."""
    spans = (" ".join(span.split()) for span in _SPAN.findall(_BLOCK.sub("", page)))
    return [" ".join(_before_a_choice(span)) for span in spans if _PROGRAM.match(span)]


def _before_a_choice(span: str) -> Iterator[str]:
    for word in span.split():
        if _SYNOPSIS.search(word):
            return
        yield word


def hidden(page: str) -> list[str]:
    """Lines that look like a command to type, and stand where ``typed`` does not look: in an indented block, or one of another kind."""
    others = (text for language, text in _BLOCK.findall(page) if language not in ("sh", "console", "python"))
    indented = re.findall(r"^ {4,}.*$", _BLOCK.sub("", page), re.MULTILINE)
    lines = [line.strip() for text in (*others, *indented) for line in text.splitlines()]
    return [line for line in lines if _PROGRAM.match(line.removeprefix(_PROMPT))]


def is_begun_by(command: str, mention: str) -> bool:
    """Whether a command begins with what is mentioned, of which a word in capitals stands for any word."""
    words, wanted = (
        text.removeprefix("kubectl ").split() if text.startswith("kubectl clew") else text.split() for text in (command, mention)
    )
    agree = all(word == want or _PLACEHOLDER.fullmatch(want) for word, want in zip(words, wanted, strict=False))
    return agree and len(wanted) <= len(words)
