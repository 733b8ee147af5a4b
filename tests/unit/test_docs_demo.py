"""What docs/demo.md shows as printed is what the demo types."""

from clew_lab import demo

from tests.docs import commands


def test_the_page_shows_what_the_demo_types() -> None:
    page = commands.pages()["docs/demo.md"]
    assert commands.typed(page[page.index("```console") :]) == demo.typed()
