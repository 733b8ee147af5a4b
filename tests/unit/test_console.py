"""Pages whose commands are run: what stands in them, what is put in, and what does not count in a comparison."""

from __future__ import annotations

import pytest

from tests.api.console import Section, filled, masked, sections, shown

PAGE = """\
# A page

```console
$ before the first heading
```

## One

```yaml
# one.yaml
kind: One
```

Some words.

```console
$ cat one.yaml
kind: One
$ true
```

## Nothing to run

```yaml
kind: Unnamed
```

## Two

```console
$ false
```
"""


def test_sections_have_their_files_and_commands() -> None:
    assert sections(PAGE) == (
        Section("", {}, ("before the first heading",)),
        Section("One", {"one.yaml": "kind: One\n"}, ("cat one.yaml", "true")),
        Section("Two", {}, ("false",)),
    )


def test_what_stands_below_a_command_is_what_it_printed() -> None:
    assert shown(PAGE) == [("before the first heading", ""), ("cat one.yaml", "kind: One\n"), ("true", ""), ("false", "")]


def test_a_page_is_filled_with_what_was_printed() -> None:
    page = filled(PAGE, ["", "kind: Two  \n\nlast\n\n", "new", ""])
    assert page == PAGE.replace("kind: One\n$ true\n", "kind: Two\n\nlast\n$ true\nnew\n")
    assert [output for _, output in shown(page)] == ["", "kind: Two\n\nlast\n", "new\n", ""]


def test_a_page_is_filled_with_what_it_shows_already() -> None:
    assert filled(PAGE, [output for _, output in shown(PAGE)]) == PAGE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("NAME   AGE\na      9s", "NAME   AGE\na      12m3s"),
        ("a      9s    step 1", "a      10s   step 1"),
        ("until 2026-11-25T10:00:00Z", "until 2026-11-26T09:00:01.5Z"),
        ("LAST DEPLOYED: Wed Nov 25 06:32:27 2026", "LAST DEPLOYED: Mon Dec  7 16:32:27 2026"),
        ("  Resource Version:    470\n", "  Resource Version:    99470\n"),
        ("request 8725d95f-a36a-4452-924a-cf02a5247ead", "request c93ca4a6-fb2d-4f30-a2a4-d6d40bd6c6c8"),
        ("shop-0123456789 is stable", "shop-abcdef0123 is stable"),
    ],
)
def test_what_differs_from_run_to_run_does_not_count(one: str, other: str) -> None:
    assert masked(one) == masked(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a  False  9s", "a  True  9s"),
        ("      Soak:   1h\n", "      Soak:   2h\n"),
        ("soaks 9s", "soaks 8s"),
        ("  Generation:          1\n", "  Generation:          2\n"),
        ("shop-0123456789; stable is shop-0123456789", "shop-0123456789; stable is shop-abcdef0123"),
        ("  nested", "    nested"),
    ],
)
def test_everything_else_counts(one: str, other: str) -> None:
    assert masked(one) != masked(other)
