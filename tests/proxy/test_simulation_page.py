"""What the pages show of simulations is what their commands print and draw."""

from __future__ import annotations

import pytest

from tests import printed_pages

COMMANDS = [(page, command, text) for page in printed_pages.PAGES for command, text in printed_pages.commands(page)]


@pytest.mark.parametrize(("page", "command", "text"), COMMANDS, ids=lambda value: str(value).strip()[-60:])
def test_a_page_shows_what_its_command_prints(page: object, command: str, text: str | None) -> None:
    printed, pictures = printed_pages.written(command)
    assert text in (None, printed), f"{page}: python -m tests.printed_pages"
    for name, picture in pictures.items():
        assert (printed_pages.PICTURES / name).read_text() == picture, f"{name}: python -m tests.printed_pages"


def test_every_picture_is_drawn_by_a_command_and_is_on_the_page() -> None:
    drawn = {
        word
        for _, command, _ in COMMANDS
        for before, word in zip(command.split(), command.split()[1:], strict=False)
        if before in ("--svg", "--plot")
    }
    assert {"story.svg", "lone-agent.svg", "thread.svg"} <= drawn
    pages = "".join(page.read_text() for page in printed_pages.PAGES)
    assert all(f"](pictures/{name})" in pages for name in drawn)


def test_the_table_of_profiles_is_what_is_printed() -> None:
    assert printed_pages.table(printed_pages.PAGES[0]) == printed_pages.printed_table()
