"""docs/verification.md says what is checked, and nothing else."""

from __future__ import annotations

from pathlib import Path

from states.exploration import Caught

from . import mutations
from .listed_worlds import DEEP, LISTED, row
from .mutations import MUTATIONS, look_for

PAGE = Path(__file__).resolve().parents[2] / "docs" / "verification.md"


def test_the_page_lists_the_worlds_that_are_explored() -> None:
    worlds, deep, _ = _tables()
    assert worlds == [row(world) for world in LISTED]
    assert deep == [row(world) for world in DEEP]


def test_the_page_adds_them_up() -> None:
    for worlds in (LISTED, DEEP):
        states, steps = sum(world.states for world in worlds), sum(world.steps for world in worlds)
        assert f"{len(worlds)} worlds, {states:,} states, {steps:,} steps" in PAGE.read_text()


def test_the_page_lists_the_mutations_and_what_notices_them() -> None:
    _, _, listed = _tables()
    assert listed == [mutations.row(mutation) for mutation in MUTATIONS]


def test_the_page_tells_the_story_that_is_told() -> None:
    found = look_for(mutations._gate_never_closes, "swap")
    assert found is not None
    assert found.caught is Caught.REFEREE
    assert "```text\n" + "\n".join(found.story) + "\n```" in PAGE.read_text()


def _tables() -> list[list[str]]:
    """The rows of the page's first three tables."""
    blocks = [block.splitlines() for block in PAGE.read_text().split("\n\n") if block.startswith("| ")]
    return [rows[2:] for rows in blocks[:3]]
