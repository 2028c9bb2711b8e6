"""The picture of a group's machine, as SVG.

Where things stand is laid out here by hand; which arrows there are and what they say is asked of the machine. An edge
without an arrow, or an arrow without an edge, is an error. The picture has no background: its colours can be read on a
light page and on a dark one, and better where the page's theme is the system's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final
from xml.etree import ElementTree as ET

from .diagrams import Edge, edges, initial
from .group import LOADED, GroupState

IDLE, LOADING, ACTIVE = GroupState.IDLE, GroupState.LOADING, GroupState.ACTIVE
DRAINING, DEBOUNCE, UNLOADING = GroupState.DRAINING, GroupState.DEBOUNCE, GroupState.UNLOADING

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A place in the picture: its upper left corner, and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """A line from all of `sources` to `target`, and where its words stand."""

    sources: tuple[GroupState, ...]
    target: GroupState
    path: tuple[Point, ...]
    words: Point
    """The middle of the first line of words (its start with `beside`), on its baseline."""
    beside: bool = False
    """The words stand to the right of the line, not above or below it."""
    columns: int = 40
    """Characters in a line of words."""


SIZE: Final = Box(0, 0, 760, 568)
FRAME: Final = Box(24, 104, 712, 324)
"""What it surrounds is what the arrow from it leaves."""

PLACES: Final[Mapping[GroupState, Box]] = {
    IDLE: Box(40, 33, 140, 50),
    LOADING: Box(310, 126, 140, 64),
    ACTIVE: Box(40, 262, 140, 64),
    DRAINING: Box(310, 262, 140, 64),
    DEBOUNCE: Box(580, 262, 140, 64),
    UNLOADING: Box(310, 506, 140, 50),
}

ARROWS: Final = (
    Arrow((IDLE,), LOADING, ((180, 58), (350, 58), (350, 126)), words=(265, 50)),
    Arrow((LOADING,), ACTIVE, ((310, 158), (110, 158), (110, 262)), words=(210, 150)),
    Arrow((LOADING,), DRAINING, ((380, 190), (380, 262)), words=(390, 222), beside=True, columns=12),
    Arrow((LOADING,), DEBOUNCE, ((450, 158), (650, 158), (650, 262)), words=(550, 150)),
    Arrow((ACTIVE,), DRAINING, ((180, 282), (310, 282)), words=(245, 258), columns=16),
    Arrow((DRAINING,), ACTIVE, ((310, 306), (180, 306)), words=(245, 322), columns=16),
    Arrow((DRAINING,), DEBOUNCE, ((450, 282), (580, 282)), words=(515, 258), columns=16),
    Arrow((DEBOUNCE,), DRAINING, ((580, 306), (450, 306)), words=(515, 322), columns=16),
    Arrow((DEBOUNCE,), ACTIVE, ((620, 326), (620, 374), (140, 374), (140, 326)), words=(380, 366)),
    Arrow((ACTIVE,), DEBOUNCE, ((110, 326), (110, 396), (650, 396), (650, 326)), words=(380, 413)),
    Arrow((ACTIVE,), UNLOADING, ((70, 326), (70, 521), (310, 521)), words=(190, 513)),
    Arrow((LOADING, ACTIVE, DRAINING, DEBOUNCE), UNLOADING, ((380, 428), (380, 506)), words=(392, 454), beside=True),
    Arrow((UNLOADING,), LOADING, ((450, 531), (750, 531), (750, 58), (410, 58), (410, 126)), words=(580, 50)),
    Arrow((UNLOADING,), IDLE, ((310, 541), (10, 541), (10, 58), (40, 58)), words=(160, 558)),
)

_CORNER: Final = 8
_LINE_HEIGHT: Final = 16

_FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_STYLE: Final = f"""
.states-picture {{ font-family: {_FONT}; }}
.states-picture text {{ font-size: 13px; text-anchor: middle; }}
.states-picture .name {{ font-size: 16px; font-weight: 600; }}
.states-picture .brief {{ font-size: 12px; }}
.states-picture .beside {{ text-anchor: start; }}
.states-picture .line, .states-picture .frame {{ fill: none; stroke-width: 1.5; }}
.states-picture .state {{ stroke-width: 1.5; }}
.states-picture .frame {{ stroke-dasharray: 3 4; }}
"""
_COLOURS: Final = (
    (".states-picture text", "fill", "#656d76", "#848d97"),
    (".states-picture .head", "fill", "#818b98", "#7d8590"),
    (".states-picture .line, .states-picture .frame", "stroke", "#818b98", "#7d8590"),
    (".states-picture .name, .states-picture .brief", "fill", "#1f2328", "#f0f6fc"),
    (".states-picture .none .state", "fill", "#eff2f5", "#262c36"),
    (".states-picture .none .state", "stroke", "#818b98", "#7d8590"),
    (".states-picture .changing .state", "fill", "#fff1cc", "#4b3910"),
    (".states-picture .changing .state", "stroke", "#bf8700", "#b88a1b"),
    (".states-picture .loaded .state", "fill", "#d8f5e0", "#12402a"),
    (".states-picture .loaded .state", "stroke", "#2da44e", "#2ea043"),
)
"""Of what, on a light page and on a dark one. Each can be told from the other page too, should the theme not match."""


def svg(drawn: Iterable[Edge] | None = None) -> str:
    """Return the picture of the machine.

    Args:
        drawn: edges; None: those of the machine.

    Raises:
        LookupError: an edge has no arrow, or an arrow no edge: `ARROWS` is not the machine's any more.
    """
    chosen = edges() if drawn is None else tuple(drawn)
    told = words_of(chosen)
    picture = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {SIZE.width:g} {SIZE.height:g}")
    picture.attrib |= {
        "width": f"{SIZE.width:g}",
        "height": f"{SIZE.height:g}",
        "class": "states-picture",
        "role": "img",
    }
    picture.set("aria-labelledby", "states-title states-description")
    _add(picture, "title", "The states of a process group", id="states-title")
    said = ". ".join(f"{edge.source.value} to {edge.target.value}: {edge.label}" for edge in chosen)
    _add(picture, "desc", f"{said}.", id="states-description")
    _add(picture, "style", _STYLE + _colours())
    head = {"viewBox": "0 0 10 10", "refX": "9", "refY": "5", "markerWidth": "9", "markerHeight": "9"}
    tip = _add(picture, "marker", id="states-tip", orient="auto", markerUnits="userSpaceOnUse", **head)
    _add(tip, "path", class_="head", d="M0 1 L10 5 L0 9 z")
    _rectangle(picture, FRAME, 14, "frame")
    for arrow, words in told.items():
        _arrow(picture, arrow, words)
    for state, box in PLACES.items():
        _state(picture, state, box)
    ET.indent(picture)
    return ET.tostring(picture, encoding="unicode") + "\n"


def words_of(drawn: Sequence[Edge]) -> dict[Arrow, list[str]]:
    """Return what stands at each arrow: first those that leave several states, then what is left for the others.

    Raises:
        LookupError: an edge has no arrow, or an arrow no edge.
    """
    left = {(edge.source, edge.target, edge.label): None for edge in drawn}
    told: dict[Arrow, list[str]] = {}
    for arrow in sorted(ARROWS, key=lambda arrow: -len(arrow.sources)):
        labels = [label for source, target, label in left if (source, target) == (arrow.sources[0], arrow.target)]
        shared = [each for each in labels if all((source, arrow.target, each) in left for source in arrow.sources)]
        if not shared:
            begins = ", ".join(source.value for source in arrow.sources)
            raise LookupError(f"the arrow from {begins} to {arrow.target.value} has no edge: take it out of ARROWS")
        told[arrow] = shared
        for label in shared:
            for source in arrow.sources:
                del left[source, arrow.target, label]
    if left:
        lost = "; ".join(f"{source.value} to {target.value}, {label}" for source, target, label in left)
        raise LookupError(f"no arrow for {lost}: give it a place in ARROWS")
    return told


def _arrow(picture: ET.Element, arrow: Arrow, labels: Sequence[str]) -> None:
    _add(picture, "path", class_="line", d=_rounded(arrow.path), marker_end="url(#states-tip)")
    x, y = arrow.words
    for line in (line for label in labels for line in wrap(label, arrow.columns)):
        _add(picture, "text", line, class_="beside" if arrow.beside else "words", x=x, y=y)
        y += _LINE_HEIGHT


def _state(picture: ET.Element, state: GroupState, box: Box) -> None:
    kind = "none" if state is IDLE else "loaded" if state in LOADED else "changing"
    place = _add(picture, "g", class_=kind)
    _add(place, "title", f"{state.value}: {state.meaning}")
    _rectangle(place, box, 9, "state")
    middle = box.x + box.width / 2
    brief = wrap(state.meaning.partition(";")[0], 19)
    y = box.y + (box.height - 15 * len(brief)) / 2 + 5
    _add(place, "text", state.value, class_="name", x=middle, y=y)
    for line in brief:
        y += 15
        _add(place, "text", line, class_="brief", x=middle, y=y)
    if state is initial():
        _add(picture, "circle", class_="head", cx=middle, cy=10, r=5)
        _add(picture, "path", class_="line", d=f"M{middle:g} 10 L{middle:g} {box.y:g}", marker_end="url(#states-tip)")


def _rounded(path: Sequence[Point]) -> str:
    """Return a line of straight pieces whose corners are round."""
    words = [f"M{path[0][0]:g} {path[0][1]:g}"]
    for before, corner, after in zip(path, path[1:], path[2:], strict=False):
        into, out_of = _towards(corner, before), _towards(corner, after)
        words += [f"L{into[0]:g} {into[1]:g}", f"Q{corner[0]:g} {corner[1]:g} {out_of[0]:g} {out_of[1]:g}"]
    return " ".join([*words, f"L{path[-1][0]:g} {path[-1][1]:g}"])


def _towards(corner: Point, other: Point) -> Point:
    """Return the point of the line from `corner` to `other`, upright or level, at which the corner begins."""
    x, y = ((there > here) - (there < here) for here, there in zip(corner, other, strict=True))
    return corner[0] + x * _CORNER, corner[1] + y * _CORNER


def _rectangle(parent: ET.Element, box: Box, radius: float, kind: str) -> None:
    _add(parent, "rect", class_=kind, x=box.x, y=box.y, width=box.width, height=box.height, rx=radius)


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str | float) -> ET.Element:
    """Add an element. `class_` is its class; underscores in names are hyphens."""
    named = {
        name.rstrip("_").replace("_", "-"): value if isinstance(value, str) else f"{value:g}"
        for name, value in attributes.items()
    }
    element = ET.SubElement(parent, tag, named)
    element.text = text
    return element


def _colours() -> str:
    light = "".join(f"{what} {{ {which}: {colour}; }}\n" for what, which, colour, _ in _COLOURS)
    dark = "".join(f"  {what} {{ {which}: {colour}; }}\n" for what, which, _, colour in _COLOURS)
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"
