"""The page about reliability names tests that there are, words that are said, and every fault that a test is about."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
_FAULT = re.compile(r"\bR\d\d\b")


class Row(NamedTuple):
    """A row of one of the page's tables."""

    number: int
    cells: tuple[str, ...]

    @property
    def tests(self) -> list[str]:
        return re.findall(r"`(test_\w+)`", self.cells[-1])


def rows() -> Iterator[Row]:
    for number, line in enumerate(PAGE.read_text().splitlines(), start=1):
        cells = tuple(cell.strip() for cell in line.strip("|").split(" |"))
        if line.startswith("| ") and cells[0] not in {"---", "situation", "fault"}:
            yield Row(number, cells)


SITUATIONS = [row for row in rows() if not _FAULT.match(row.cells[0])]
FAULTS = [row for row in rows() if _FAULT.match(row.cells[0])]


@cache
def known_tests() -> dict[str, set[str]]:
    """Every test, by name, with the faults that it says it is about; of those with one name, all of them together."""
    found: dict[str, set[str]] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.setdefault(node.name, set()).update(_FAULT.findall(ast.get_docstring(node) or ""))
    return found


@cache
def words() -> str:
    """Every string of the program and of its tests, those in an f-string in their pieces."""
    texts: list[str] = []
    for file in (each for folder in ("proxy", "states", "tests") for each in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Constant(value=str(text)) if file.name != Path(__file__).name:
                    texts.append(text)
                case _:
                    pass
    return "\n".join(texts)


def messages(row: Row) -> Iterator[str]:
    """What the program is said to say: code with a blank in it, in its pieces around what differs."""
    for code in re.findall(r"`([^`]+)`", row.cells[1]):
        if " " in code:
            yield from (piece.strip(" ") for piece in code.split("…") if len(piece.strip(" .:;()")) > 1)


def test_the_page_has_its_tables() -> None:
    assert len(SITUATIONS) > 90
    assert len(FAULTS) >= 50
    assert {len(row.cells) for row in SITUATIONS} == {3}
    assert {len(row.cells) for row in FAULTS} == {4}
    assert sum(1 for row in SITUATIONS for _ in messages(row)) > 80


@pytest.mark.parametrize("row", [*SITUATIONS, *FAULTS], ids=lambda row: row.cells[0])
def test_a_row_names_tests_that_there_are_or_admits_that_there_is_none(row: Row) -> None:
    assert set(row.tests) <= known_tests().keys()
    assert row.tests or row.cells[-1] == "not played" or "**not covered:**" in row.cells[-2]


@pytest.mark.parametrize("row", SITUATIONS, ids=lambda row: row.cells[0])
def test_what_a_user_is_said_to_see_is_said(row: Row) -> None:
    assert [piece for piece in messages(row) if piece not in words()] == []


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row.cells[0])
def test_a_tests_fault_has_its_number_there_too(row: Row) -> None:
    numbers = set(_FAULT.findall(row.cells[0]))
    assert not row.tests or any(numbers & known_tests()[name] for name in row.tests)


def test_every_fault_that_a_test_is_about_is_on_the_page() -> None:
    said = {number for row in FAULTS for number in _FAULT.findall(row.cells[0])}
    assert {number for numbers in known_tests().values() for number in numbers} - said == set()
    assert [row.cells[0][:3] for row in FAULTS] == sorted(row.cells[0][:3] for row in FAULTS)
