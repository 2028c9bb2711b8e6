"""A picture as a test sees it: where things are, and in what colours. Widths of words are estimated generously."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple
from xml.etree import ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"
WHITE, BLACK = "#ffffff", "#0d1117"
"""A light page and a dark one."""

_WIDEST = 0.6
"""Of a character, in sizes of the font: above what DejaVu Sans, a wide face, takes for words like ours."""


class Area(NamedTuple):
    """A rectangle; a line where two sides are one."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Area) -> bool:
        """Whether they share more than a border."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def within(self, other: Area) -> bool:
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom

    def has_on_its_border(self, x: float, y: float) -> bool:
        return Area(x, y, x, y).within(self) and (x in (self.left, self.right) or y in (self.top, self.bottom))

    @property
    def border(self) -> Line:
        left, top, right, bottom = self
        return Line(((left, top), (right, top), (right, bottom), (left, bottom), (left, top)))


class Line(NamedTuple):
    """Straight pieces, upright or level."""

    points: tuple[tuple[float, float], ...]

    @property
    def pieces(self) -> list[Area]:
        return [Area(min(a, c), min(b, d), max(a, c), max(b, d)) for (a, b), (c, d) in pairwise(self.points)]

    def touches(self, area: Area) -> bool:
        return any(piece.overlaps(area) for piece in self.pieces)

    def crosses(self, other: Line) -> bool:
        return any(_thick(one).overlaps(_thick(two)) for one in self.pieces for two in other.pieces)


class Picture:
    """An SVG file whose style is one rule a line, the dark ones last."""

    def __init__(self, text: str) -> None:
        self.root = ET.fromstring(text)
        self.style = self.root.findtext(f"{SVG}style") or ""
        self.whole = Area(0, 0, *(float(number) for number in self.root.attrib["viewBox"].split()[2:]))
        self.name = self.root.attrib["class"]
        self._px = {
            kind: float(px) for kind, px in re.findall(r"\.([\w-]+) \{ font(?:-size)?: (?:\d+ )?(\d+)px", self.style)
        }
        anchors = re.findall(r"^(.*) \{.*text-anchor: (\w+)", self.style, re.MULTILINE)
        self._anchor = {kind: anchor for rule, anchor in anchors for kind in re.findall(r"\.([\w-]+)(?=,|$)", rule)}
        self._plain_px = float(re.findall(r" text \{ font-size: (\d+)px", self.style)[0])

    def colours(self) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
        """From (selector, fill or stroke) to the colour, on a light page and on a dark one."""
        return _colours(self.style.partition("@media")[0]), _colours(self.style.partition("@media")[2])

    def rectangle(self, element: ET.Element) -> Area:
        x, y, width, height = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
        return Area(x, y, x + width, y + height)

    def words(self, element: ET.Element) -> Area:
        """Where a text stands."""
        kind, x, y = element.attrib["class"], float(element.attrib["x"]), float(element.attrib["y"])
        size = self._px.get(kind, self._plain_px)
        width = len(element.text or "") * size * _WIDEST
        left = x - {"start": 0, "middle": width / 2, "end": width}[self._anchor.get(kind, "middle")]
        return Area(left, y - 0.8 * size, left + width, y + 0.25 * size)

    def line(self, element: ET.Element) -> Line:
        """A path of absolute coordinates; a round corner counts as a sharp one."""
        numbers = [float(number) for number in re.findall(r"[\d.]+", element.attrib["d"])]
        return Line(tuple(zip(numbers[::2], numbers[1::2], strict=True)))


def contrast(one: str, other: str) -> float:
    """As WCAG 2.2 defines it."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _colours(style: str) -> dict[tuple[str, str], str]:
    rules = re.findall(r"^ *([^{}@\n]+) \{(.*)\}$", style, re.MULTILINE)
    return {
        (selector, which): colour
        for selectors, rule in rules
        for which, colour in re.findall(r"(fill|stroke): (#\w{6});", rule)
        for selector in selectors.split(", ")
    }


def _luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _thick(piece: Area) -> Area:
    return Area(piece.left, piece.top, piece.right + 1, piece.bottom + 1)
