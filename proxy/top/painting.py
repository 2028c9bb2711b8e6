"""From styled lines to strings for a terminal or for a file; what the environment says about both is looked at here."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Final

from rich.console import Console
from rich.text import Text

from .layout import ASCII, UNICODE, Glyphs

_LOCALES: Final = ("LC_ALL", "LC_CTYPE", "LANG")
"""Variables of the environment; the first that is set holds."""
_WIDER_THAN_ANY: Final = 10_000
"""Lines have their width already; rich is not to fold them once more."""


class Painter:
    """Paints with colours on a terminal, as far as it has some and `NO_COLOR` is not set, and without elsewhere."""

    def __init__(self, *, is_terminal: bool) -> None:
        """Look at the environment, and paint nothing yet."""
        self._console = Console(
            file=StringIO(), force_terminal=is_terminal, width=_WIDER_THAN_ANY, highlight=False, legacy_windows=False
        )

    def paint(self, lines: Sequence[Text]) -> list[str]:
        """Return a string for each line; none depends on another, or ends in blanks."""
        with self._console.capture() as painted:
            self._console.print(
                Text("\n").join(map(_ended, lines)), no_wrap=True, overflow="ignore", crop=False, end=""
            )
        return painted.get().split("\n")


def glyphs_of(encoding: str | None, environ: Mapping[str, str]) -> Glyphs:
    """Return what can be drawn.

    Python writes UTF-8 where the locale is `C`, whoever has chosen that; who has chosen it wants ASCII.

    Args:
        encoding: of the output.
        environ: the environment.
    """
    chosen = next((environ[name] for name in _LOCALES if environ.get(name)), "utf-8")
    speaks = codecs.lookup(encoding or "ascii").name.startswith("utf")
    return UNICODE if speaks and "utf" in chosen.lower() else ASCII


def _ended(line: Text) -> Text:
    shown = line.copy()
    shown.rstrip()
    return shown
