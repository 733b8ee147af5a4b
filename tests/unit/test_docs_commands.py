"""Every command that the docs tell to type is typed by a test, or stands in ``tests/docs/untyped.py`` with what holds it instead."""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from clew_lab import demo

from tests.docs.commands import CHECKOUT, hidden, is_begun_by, mentioned, pages, typed
from tests.docs.parsers import MAINS, parse
from tests.docs.terminal import Terminal
from tests.docs.untyped import ELSEWHERE, NEVER, PARSED

PAGES = pages()
UNTYPED = {**PARSED, **ELSEWHERE, **NEVER}


@cache
def trees() -> Mapping[str, ast.Module]:
    """All modules of tests, parsed, by their path in the checkout."""
    return {str(path.relative_to(CHECKOUT)): ast.parse(path.read_text()) for path in (CHECKOUT / "tests").rglob("*.py")}


def calls(name: str) -> Iterator[str]:
    """The first argument of each call of a function or method of that name in tests, where it is a literal."""
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func
                if (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) == name:
                    yield str(node.args[0].value)


DOCUMENTED = frozenset([*calls("documented"), *calls("documented_to_go_on")])
PLAYED = frozenset(command for page in calls("Stage") for command in typed(PAGES[f"docs/{page}"])) | set(demo.typed())


@pytest.mark.parametrize("page", PAGES)
def test_every_command_to_type_is_run(page: str) -> None:
    left = [command for command in typed(PAGES[page]) if command not in DOCUMENTED | PLAYED | UNTYPED.keys()]
    assert left == [], 'type them in a test, by Terminal.documented("…"), or say in tests/docs/untyped.py what holds them instead'


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_the_text_is_one_that_is_run_or_its_beginning(page: str) -> None:
    run = DOCUMENTED | PLAYED | UNTYPED.keys()
    left = [mention for mention in mentioned(PAGES[page]) if not any(is_begun_by(command, mention) for command in run)]
    assert left == [], "type them in a test, or say in tests/docs/untyped.py what holds them instead"


@pytest.mark.parametrize("page", PAGES)
def test_commands_stand_in_blocks_of_their_kind(page: str) -> None:
    assert hidden(PAGES[page]) == [], "put them into ```sh, or ```console with what they print"


def test_nothing_is_typed_or_listed_that_the_docs_do_not_say() -> None:
    said = {command for page in PAGES.values() for command in (*typed(page), *mentioned(page))}
    assert sorted((DOCUMENTED | UNTYPED.keys()) - said) == []
    assert sorted(UNTYPED.keys() & (DOCUMENTED | PLAYED)) == [], "it is typed, so it need not be listed"
    assert len(UNTYPED) == len(PARSED) + len(ELSEWHERE) + len(NEVER)


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_the_test_that_is_named_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert name in {node.name for node in trees()[path].body if isinstance(node, ast.FunctionDef)}


def own(command: str) -> tuple[str, list[str]]:
    """The program of a command, where it is one of ours, and its arguments; of a synopsis, all that there may be."""
    inner = re.fullmatch(r'eval "\$\((.*)\)"', command)
    words = shlex.split(re.sub(r"\[(--[^\]]*)\]", r"\1", inner[1] if inner else command))
    program, *arguments = words[2:] if words[:2] == ["python", "-m"] else words
    return program.removeprefix(".venv/bin/"), arguments


OWN = [command for command in PARSED if own(command)[0] in MAINS]
OTHERS = [command for command in PARSED if command not in OWN]


@pytest.mark.parametrize("command", OWN)
def test_its_program_understands_it(command: str) -> None:
    assert parse(*own(command))


@pytest.mark.parametrize("command", OTHERS)
def test_make_has_its_target_and_pytest_finds_its_tests(command: str, tmp_path: Path) -> None:
    only = " --dry-run" if command.startswith("make ") else " --collect-only --quiet"
    done = Terminal(tmp_path, os.environ).run(command + only)
    assert done.returncode == 0, done.stdout


PAGE = """\
Run `helm install` or `kubectl get [NAME | --all]`, and look at `values`.

```sh
make one TWO=2   # a remark
helm install a \\
    --set b=#c
# nothing
```

```console
$ clew check x.yaml; clew decode 1
x is valid
$ kubectl get ctp     # short
```

```yaml
# make: yaml
```

    kubectl get pods
    of an indented block

```
$ docker run x
```
"""


def test_what_a_page_has() -> None:
    assert typed(PAGE) == ["make one TWO=2", "helm install a --set b=#c", "clew check x.yaml; clew decode 1", "kubectl get ctp"]
    assert mentioned(PAGE) == ["helm install", "kubectl get"]
    assert hidden(PAGE) == ["$ docker run x", "kubectl get pods"]


@pytest.mark.parametrize(
    ("mention", "begins"),
    [
        ("kubectl clew retry shop", True),
        ("clew retry NAME", True),
        ("kubectl clew", True),
        ("clew promote", False),
        ("clew retry shop --wait --more", False),
    ],
)
def test_a_mention_is_a_command_s_beginning(mention: str, begins: bool) -> None:
    assert is_begun_by("kubectl clew retry shop --wait", mention) == begins
