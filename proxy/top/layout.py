"""Text that cannot hurt a terminal, and how much room it takes.

Widths are cells of the terminal: a Chinese character takes two of them.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import chain
from typing import Final

from rich.cells import cell_len, chop_cells, set_cell_size

_LONGEST: Final = 400
"""Characters of one text that are looked at; a failed server's last words can be a page."""
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of Unicode: what moves the cursor, turns the direction of writing, or is nothing at all."""
_VARIATIONS: Final = range(0xFE00, 0xFE10)
"""They change the width of the character before them, and terminals disagree how."""
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400
_MOST_S: Final = 1000 * _DAY_S - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """What is drawn besides letters."""

    full: str
    empty: str
    arrow: str
    dot: str
    cut: str
    unknown: str
    """In place of a character that cannot be shown."""


UNICODE: Final = Glyphs(full="█", empty="░", arrow="→", dot="·", cut="…", unknown="�")
ASCII: Final = Glyphs(full="#", empty=".", arrow="->", dot="|", cut="..", unknown="?")


def harmless(text: str, glyphs: Glyphs) -> str:
    """Return a text as one line in which every character only shows itself."""
    text = text[:_LONGEST]
    if not (text.isascii() and text.isprintable()):
        text = "".join(_harmless(each, glyphs) for each in text)
    return " ".join(text.split())


def _harmless(character: str, glyphs: Glyphs) -> str:
    if character.isspace():
        return " "
    if character.isascii() and character.isprintable():
        return character
    unsafe = glyphs is ASCII or unicodedata.category(character) in _UNPRINTABLE or ord(character) in _VARIATIONS
    return glyphs.unknown if unsafe else character


def fitted(text: str, width: int, glyphs: Glyphs) -> str:
    """Cut a text that is wider than `width`, and show that it was cut."""
    if cell_len(text) <= width:
        return text
    room = width - cell_len(glyphs.cut)
    return set_cell_size(text, room).rstrip() + glyphs.cut if room > 0 else set_cell_size(text, max(width, 0))


def wrapped(text: str, width: int, most: int, glyphs: Glyphs) -> list[str]:
    """Break a text into at most `most` lines between its words; a word that is too long is broken anywhere."""
    width = max(width, 2)
    lines = [""]
    for piece in chain.from_iterable(chop_cells(word, width) for word in text.split()):
        joined = f"{lines[-1]} {piece}" if lines[-1] else piece
        if cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(piece)
    return lines if len(lines) <= most else [*lines[: most - 1], fitted(" ".join(lines[most - 1 :]), width, glyphs)]


def span(seconds: float) -> str:
    """A duration in at most six characters: `4.2s`, `42s`, `5m07s`, `2h05m`, `3d04h`."""
    if seconds < 9.95:  # noqa: PLR2004  would be rounded to 10.0
        return f"{max(seconds, 0.0):.1f}s"
    whole = int(min(seconds, _MOST_S))
    if whole < _MINUTE_S:
        return f"{whole}s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m{whole % _MINUTE_S:02}s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S}h{whole % _HOUR_S // _MINUTE_S:02}m"
    return f"{whole // _DAY_S}d{whole % _DAY_S // _HOUR_S:02}h"
