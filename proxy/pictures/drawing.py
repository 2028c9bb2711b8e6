"""SVG by hand: a page that is written once, from top to bottom, and reads in light and in dark.

There is no background: the picture lies on whatever page it is put on, as an image too, and its colours follow that
page's `prefers-color-scheme`. What colours tell, patterns tell as well. Numbers are rounded to a tenth of a pixel: the
same picture is the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0

STYLE: Final = """\
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 13px }
.faint { fill: #57606a; font-size: 11px }
.line { stroke: #d0d7de; stroke-width: 1; fill: none }
.serving { fill: #1a7f5a }
.held { fill: #1a7f5a; fill-opacity: .22 }
.idle { fill: #8c959f; fill-opacity: .35 }
.loading { fill: url(#loading) }
.stopping { fill: url(#stopping) }
.waiting { fill: #b3261e; fill-opacity: .75 }
.dash { fill: #57606a; fill-opacity: .55 }
.mean { fill: #1a7f5a }
.late { fill: #b3261e }
.curve { fill: none; stroke: #1a7f5a; stroke-width: 1.5 }
.curve-late { fill: none; stroke: #b3261e; stroke-width: 1.5; stroke-dasharray: 5 3 }
.ink-loading { stroke: #b35900; stroke-width: 3 }
.ink-stopping { stroke: #57606a; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .faint { fill: #9da7b1 }
  .line { stroke: #3d444d }
  .serving { fill: #3fb68b }
  .held { fill: #3fb68b; fill-opacity: .3 }
  .idle { fill: #9da7b1; fill-opacity: .3 }
  .waiting { fill: #ff8f86; fill-opacity: .8 }
  .dash { fill: #9da7b1; fill-opacity: .6 }
  .mean { fill: #3fb68b }
  .late { fill: #ff8f86 }
  .curve { stroke: #3fb68b }
  .curve-late { stroke: #ff8f86 }
  .ink-loading { stroke: #f0a23b }
  .ink-stopping { stroke: #9da7b1 }
}"""

PATTERNS: Final = """\
<pattern id="loading" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
<path class="ink-loading" d="M1.5 0V6"/></pattern>
<pattern id="stopping" width="4" height="4" patternUnits="userSpaceOnUse">\
<path class="ink-stopping" d="M0 1H2M2 3H4"/></pattern>"""


class Drawing:
    """A picture that is being drawn. Lengths are pixels, from the upper left corner."""

    def __init__(self, *, width: float, title: str, description: str) -> None:
        """Begin a picture; `title` and `description` are for whoever cannot see it."""
        self.width, self.height = width, 0.0
        self._title, self._description = title, description
        self._parts: list[str] = []

    def text(self, x: float, y: float, words: str, *, kind: str = "", anchor: str = "start") -> None:
        """Write a line of text; `y` is its baseline, `kind` its class in `STYLE`."""
        looks = f' class="{kind}"' if kind else ""
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f'<text x="{number(x)}" y="{number(y)}"{looks}{where}>{escape(words)}</text>')
        self._reach(y + 6)

    def box(self, x: float, y: float, width: float, height: float, *, kind: str, tip: str = "") -> None:
        """Fill a box; `tip` is shown where the pointer rests on it, if the picture is not a mere image."""
        shape = (
            f'<rect class="{kind}" x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
        )
        self._parts.append(f"{shape}><title>{escape(tip)}</title></rect>" if tip else f"{shape}/>")
        self._reach(y + height)

    def shape(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Draw a line through the points; where its class says so, fill what it goes around."""
        path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
        self._parts.append(f'<path class="{kind}" d="{path}"/>')
        self._reach(max(y for _, y in points))

    def svg(self) -> str:
        """Return the whole picture."""
        width, height = number(self.width), number(self.height + 4)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        )
        lines = [
            f'{head} role="img" aria-label={quoteattr(self._title)}>',
            f"<title>{escape(self._title)}</title>",
            f"<desc>{escape(self._description)}</desc>",
            f"<style>\n{STYLE}\n</style>",
            f"<defs>\n{PATTERNS}\n</defs>",
            *self._parts,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def _reach(self, y: float) -> None:
        self.height = max(self.height, y)


def number(value: float) -> str:
    """Write a length as short as it can be."""
    return f"{value:.1f}".removesuffix(".0")


def ticks(end: float, most: int) -> list[float]:
    """Return round numbers from 0 up to `end`, at most `most` of them and one."""
    if end <= 0:
        return [0.0]
    rough = end / most
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [step * place for place in range(ceil(end / step + 1e-9)) if step * place <= end]


def seconds(value: float) -> str:
    """Write a time for people, with three digits: 0.4 s, 12 s, 3 min, 2.5 h."""
    if value >= 2 * _HOUR:
        return f"{value / _HOUR:.3g} h"
    return f"{value / _MINUTE:.3g} min" if value >= 10 * _MINUTE else f"{value:.3g} s"
