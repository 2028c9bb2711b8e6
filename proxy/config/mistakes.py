"""What is wrong with a configuration file, where, and how it is shown: all of it at once, in file order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

KeyPath = tuple[str | int, ...]
"""Keys and indices from the top of the file: `("models", "qwen2.5", "aliases", 0)`."""

WIDEST_LINE: Final = 70
"""Characters of a source line that are shown around the caret; with their margin they fit into a terminal's 80."""
LONGEST_QUOTE: Final = 100
"""Characters of a value that are shown in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A mistake before its place is known."""

    path: KeyPath
    message: str
    at_key: bool = False
    """The key itself is wrong, not its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong with a file, and where."""

    message: str
    """What was expected and what is there, starting with the key when there is one."""
    line: int | None = None
    """From 1; None: the file as a whole."""
    column: int | None = None
    """From 1, in characters."""
    source: str = ""
    """The line itself."""
    length: int = 1
    """Characters that are meant, from `column`."""
    file: str | None = None
    """None: the one that the error names."""


class ConfigError(Exception):
    """A file cannot be used as a configuration; its author has to change it. `str()` is the whole report."""

    def __init__(self, file: str, mistakes: Sequence[Mistake]) -> None:
        """Take all mistakes of `file`, at least one, and put them in file order."""
        self.file = file
        files = {name: place for place, name in enumerate(dict.fromkeys(mistake.file for mistake in mistakes))}
        self.mistakes = tuple(
            sorted(mistakes, key=lambda mistake: (files[mistake.file], mistake.line or 0, mistake.column or 0))
        )
        super().__init__(file, self.mistakes)

    def __str__(self) -> str:
        """Every mistake with its place, its line and a caret."""
        report = [line for mistake in self.mistakes for line in shown_at(mistake.file or self.file, mistake)]
        if len(self.mistakes) > 1:
            names = dict.fromkeys(printable(mistake.file or self.file) for mistake in self.mistakes)
            report.append(f"{len(self.mistakes)} mistakes in {', '.join(names)}")
        return "\n".join(report)


def dotted(path: Iterable[str | int]) -> str:
    """Return `path` as TOML writes it: `models."qwen2.5".aliases[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else quoted(part))
    return text


def quoted(text: str) -> str:
    """Return `text` in double quotes, fit for a terminal: control characters escaped, clipped when long."""
    clipped = text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1] + "…"
    return '"' + printable(clipped.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def shown_at(file: str, mistake: Mistake) -> list[str]:
    """Return the lines that show a mistake: its place, its line and a caret."""
    if mistake.line is None or mistake.column is None:
        return [f"{printable(file)}: {mistake.message}"]
    head = f"{printable(file)}:{mistake.line}:{mistake.column}: {mistake.message}"
    if not mistake.source.strip():
        return [head]
    first = max(0, mistake.column - 1 - WIDEST_LINE * 2 // 3)
    before, meant, after = (
        printable(part)
        for part in (
            mistake.source[first : mistake.column - 1],
            mistake.source[mistake.column - 1 : min(mistake.column - 1 + mistake.length, first + WIDEST_LINE)],
            mistake.source[mistake.column - 1 + mistake.length : first + WIDEST_LINE],
        )
    )
    margin = f"{mistake.line:>5} | "
    return [head, margin + before + meant + after, " " * 5 + " | " + _blank(before) + "^" * max(1, _width(meant))]


def printable(text: str) -> str:
    """Return text of somebody else's fit for a terminal: control characters escaped."""
    text = text.replace("\t", "    ")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _blank(text: str) -> str:
    return " " * _width(text)


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )
