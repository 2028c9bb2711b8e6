"""SVG by hand: a page that is written once, from top to bottom, and reads in light and in dark.

There is no background: the picture lies on whatever page it is put on, as an image too. Its colours follow the
system's `prefers-color-scheme`, and can be read on a page of the other theme too: a page may have a switch of its own.
What colours tell, patterns tell as well. Numbers are rounded to a tenth of a pixel: the
same picture is the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Final
from xml.sax.saxutils import escape

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0

_NAME: Final = "simulation-picture"
"""The class of the picture and the beginning of its ids: no rule reaches what it is put beside."""

_LOOKS: Final = """\
text { font-size: 12px; }
.title { font-size: 13px; font-weight: 600; }
.faint { font-size: 11px; }
.line, .curve, .curve-late { fill: none; stroke-width: 1; }
.curve, .curve-late { stroke-width: 1.5; }
.curve-late { stroke-dasharray: 5 3; }
.held { fill-opacity: .25; stroke-width: .75; }
.loading { fill: url(#simulation-loading); }
.stopping { fill: url(#simulation-stopping); }
.ink-loading { stroke-width: 3; }
.ink-stopping { stroke-width: 2; }"""

_LIGHT: Final = """\
text { fill: #656d76; }
.line, .ink-stopping { stroke: #818b98; }
.idle, .dash { fill: #818b98; }
.serving, .mean, .held { fill: #1f8139; }
.held, .curve { stroke: #1f8139; }
.waiting, .late { fill: #c9434a; }
.curve-late { stroke: #c9434a; }
.ink-loading { stroke: #bf8700; }"""

_DARK: Final = """\
text { fill: #848d97; }
.line, .ink-stopping { stroke: #7d8590; }
.idle, .dash { fill: #7d8590; }
.serving, .mean, .held { fill: #2ea043; }
.held, .curve { stroke: #2ea043; }
.waiting, .late { fill: #da5a52; }
.curve-late { stroke: #da5a52; }
.ink-loading { stroke: #b88a1b; }"""


def _rules(looks: str) -> str:
    """Let every rule hold in this picture alone."""
    lines = (line.partition(" {") for line in looks.splitlines())
    return "\n".join(
        f"{', '.join(f'.{_NAME} {kind}' for kind in kinds.split(', '))}{brace}{rest}" for kinds, brace, rest in lines
    )


STYLE: Final = f"""\
.{_NAME} {{ font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }}
{_rules(_LOOKS)}
{_rules(_LIGHT)}
@media (prefers-color-scheme: dark) {{
{_rules(_DARK)}
}}"""

PATTERNS: Final = """\
<pattern id="simulation-loading" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
<path class="ink-loading" d="M1.5 0V6"/></pattern>
<pattern id="simulation-stopping" width="4" height="4" patternUnits="userSpaceOnUse">\
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
        size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        told = 'role="img" aria-labelledby="simulation-title simulation-description"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} class="{_NAME}" {told}>',
            f'<title id="simulation-title">{escape(self._title)}</title>',
            f'<desc id="simulation-description">{escape(self._description)}</desc>',
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
