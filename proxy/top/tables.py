"""Tables without lines, one below the other, that share the height of a screen.

Rules: a column is as wide as its widest cell, in rows that are cut off too, so that nothing jumps about; where that is
too wide, the columns that give way do. A sentence stands beside its row where it has room and below it elsewhere.
Every cell is made harmless here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from .layout import Glyphs, fitted, harmless, wrapped

_ROOM_BESIDE: Final = 32
"""Cells that a sentence wants beside its row."""
_INDENT: Final = 4
_SENTENCE_LINES: Final = 3
_LEAST: Final = 5
"""Cells that a column keeps that gives way."""

Cell = tuple[str, str]
"""A text and its style."""
Lines = list[Text]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column and how wide it is."""

    title: str
    is_right: bool = False
    least: int = 0
    """Cells that it takes in any case."""
    gives_way: bool = False
    """Its cells may be cut."""


class Section:
    """A table under an empty line; it knows how to be shorter than it is."""

    def __init__(self, head: Text, rows: Iterable[Lines] = (), total: int = 0) -> None:
        """Show `total` rows below a line of titles; they are made one after the other, and no more than fit."""
        self._above = [Text(), head]
        self._rows = iter(rows)
        self._made: list[Lines] = []
        self._total = total

    def needs(self, most: int) -> int:
        """How many lines it takes, but no more than `most`."""
        self._make(most)
        return min(len(self._above) + sum(map(len, self._made)), most)

    def lines(self, room: int) -> Lines:
        """Return at most `room` lines: all of it, or a row at least and how many are missing, or none."""
        self._make(room)
        room -= len(self._above)
        shown = self._first(room)
        if len(shown) == self._total and room >= 0:
            return self._above + [line for row in shown for line in row]
        room -= 1
        if room < 1:
            return []
        shown = self._first(room) or [self._made[0][:room]]
        more = Text(f"and {self._total - len(shown)} more", "dim")
        return [*self._above, *(line for row in shown for line in row), more]

    def _make(self, room: int) -> None:
        """A row is a line at least."""
        self._made += islice(self._rows, max(room - len(self._made), 0))

    def _first(self, room: int) -> list[Lines]:
        for number, row in enumerate(self._made):
            room -= len(row)
            if room < 0:
                return self._made[:number]
        return self._made


def table(
    columns: Sequence[Column], rows: Sequence[tuple[Sequence[Cell], Cell]], width: int, glyphs: Glyphs, *, why: str = ""
) -> Section:
    """Lay a table out.

    Args:
        columns: from left to right.
        rows: a cell for each column, and a sentence, which may be empty.
        width: cells of a line.
        glyphs: what can be drawn.
        why: the title of the sentences.
    """
    clean = [([(harmless(text, glyphs), style) for text, style in cells], sentence) for cells, sentence in rows]
    wanted = [
        max(column.least, cell_len(column.title), *(cell_len(cells[place][0]) for cells, _ in clean))
        for place, column in enumerate(columns)
    ]
    widths = _narrowed(columns, wanted, width)
    indent = sum(widths) + len(widths)
    is_beside = indent + _ROOM_BESIDE <= width

    def line(cells: Sequence[Cell]) -> Text:
        shown = Text()
        for (text, style), column, room in zip(cells, columns, widths, strict=True):
            part = fitted(text, room, glyphs)
            padding = " " * (room - cell_len(part))
            shown.append(" " if shown else "").append(padding + part if column.is_right else part + padding, style)
        return shown

    def lines(cells: Sequence[Cell], sentence: Cell) -> Lines:
        start, (text, style) = indent if is_beside else _INDENT, sentence
        told = wrapped(harmless(text, glyphs), width - start, _SENTENCE_LINES, glyphs) if text else []
        below = [Text(" " * start).append(each, style) for each in told]
        first = line(cells)
        if is_beside and below:
            first.append(" ").append(told[0], style)
            del below[0]
        return [first, *below]

    head = lines([(column.title, "bold") for column in columns], (why, "bold"))[0]
    return Section(head, (lines(cells, sentence) for cells, sentence in clean), len(clean))


def _narrowed(columns: Sequence[Column], wanted: Sequence[int], width: int) -> list[int]:
    """Take from the widest that gives way until a line fits, or nothing more can be taken."""
    widths = list(wanted)
    giving = [place for place, column in enumerate(columns) if column.gives_way]
    while giving and sum(widths) + len(widths) - 1 > width:
        widest = max(giving, key=widths.__getitem__)
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
    return widths
