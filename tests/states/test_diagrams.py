"""The diagrams show the machine, all of it and nothing else; the picture can be read, on light pages and dark ones."""

from __future__ import annotations

import re
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from states import chart, diagrams
from states.errors import CoreError
from states.group import Group, GroupLife, GroupState, Pressure, Signal
from states.settings import GroupId, ModelId

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"
EDGES = diagrams.edges()
WRITTEN = {"states.md": diagrams.markdown, "pictures/states.svg": chart.svg}


@pytest.mark.parametrize("file", WRITTEN)
def test_what_the_documentation_shows_is_what_the_machine_is(file: str) -> None:
    assert (DOCS / file).read_text() == WRITTEN[file](), "docs/contributing.md says how to print it again"


def test_the_edges_are_those_that_a_group_can_take() -> None:
    taken = set()
    for source, signal, pressure, resident in product(GroupState, Signal, Pressure, [None, ModelId("m")]):
        group = Group(id=GroupId("g"), state=source, server=ModelId("m"), resident=resident, pressure=pressure)
        try:
            GroupLife().tell(group, signal, now=0.0, cause="")
        except CoreError:
            continue
        taken.add((source, signal.value, group.state))
    assert {(edge.source, edge.event, edge.target) for edge in EDGES} == taken


def test_else_stands_only_beside_the_condition_that_it_is_the_rest_of() -> None:
    others = [edge for edge in EDGES if edge.guard == "else"]
    assert [(edge.source, edge.target) for edge in others] == [(GroupState.UNLOADING, GroupState.IDLE)]
    for other in others:
        siblings = [edge for edge in EDGES if (edge.source, edge.event) == (other.source, other.event)]
        assert [edge.guard for edge in siblings] == ["may_load", "else"]


def test_every_state_event_and_condition_says_what_it_means() -> None:
    rows = re.findall(r"^\| (.+) \| (.*) \|$", diagrams.markdown(), re.MULTILINE)
    meanings = dict(row for row in rows if " | " not in row[0])
    names = {state.value for state in GroupState} | {edge.event for edge in EDGES} | {edge.guard for edge in EDGES}
    assert {diagrams.spoken(name) for name in names - {"", "else"}} == meanings.keys() - {
        "state",
        "event",
        "when",
        "---",
    }
    assert all(len(meaning) > 10 for name, meaning in meanings.items() if name in names)


def test_the_page_has_every_edge_in_one_row() -> None:
    rows = re.findall(r"^\| (.+) \| (.+) \| (.*) \| (.+) \|$", diagrams.markdown(), re.MULTILINE)[2:]
    told = [(source, *row[1:]) for row in rows for source in row[0].split(", ")]
    spoken = [(e.source.value, diagrams.spoken(e.event), diagrams.spoken(e.guard), e.target.value) for e in EDGES]
    assert sorted(told) == sorted(spoken)


@pytest.mark.parametrize(("draw", "arrow"), [(diagrams.mermaid, "-->"), (diagrams.dot, "->")])
def test_the_other_formats_have_an_arrow_for_every_edge_and_one_to_begin_with(draw: object, arrow: str) -> None:
    assert callable(draw)
    lines = [line.replace('"', "").split() for line in draw().splitlines() if f" {arrow} " in line]
    drawn = [(line[line.index(arrow) - 1], line[line.index(arrow) + 1]) for line in lines]
    assert drawn[0][1] == diagrams.initial().value
    assert sorted(drawn[1:]) == sorted((edge.source.value, edge.target.value) for edge in EDGES)


# The picture has a place for each edge, and an edge for each place.


def test_every_edge_is_drawn_once() -> None:
    told = chart.words_of(EDGES)
    drawn = [
        (begin, arrow.target, label) for arrow, labels in told.items() for begin in arrow.sources for label in labels
    ]
    assert sorted(map(str, drawn)) == sorted(str((edge.source, edge.target, edge.label)) for edge in EDGES)


def test_an_edge_without_a_place_is_an_error() -> None:
    added = diagrams.Edge(source=GroupState.IDLE, target=GroupState.UNLOADING, event="server_failed")
    with pytest.raises(LookupError, match="no arrow for idle to unloading, server failed"):
        chart.svg([*EDGES, added])


def test_a_place_without_an_edge_is_an_error() -> None:
    lost = [edge for edge in EDGES if edge.event != "ttl_expired"]
    with pytest.raises(LookupError, match="the arrow from active to unloading has no edge"):
        chart.svg(lost)


def test_an_edge_that_only_some_states_in_the_frame_have_is_not_drawn_from_the_frame() -> None:
    lost = [edge for edge in EDGES if (edge.source, edge.event) != (GroupState.ACTIVE, "unload_asked")]
    with pytest.raises(LookupError, match="no arrow for loading to unloading, unload asked; draining to unloading"):
        chart.svg(lost)


# Geometry, as it is in the file. Widths of words are estimated, above those of DejaVu Sans, which is a wide face.


class Area(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Area) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def within(self, other: Area) -> bool:
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom

    def has_on_its_edge(self, x: float, y: float) -> bool:
        point = Area(x, y, x, y)
        return point.within(self) and (x in (self.left, self.right) or y in (self.top, self.bottom))


class Line(NamedTuple):
    points: tuple[tuple[float, float], ...]

    @property
    def pieces(self) -> list[Area]:
        return [
            Area(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])) for a, b in pairwise(self.points)
        ]

    def touches(self, area: Area) -> bool:
        return any(piece.overlaps(area) for piece in self.pieces)


PICTURE = ET.fromstring(chart.svg())
WHOLE = Area(0, 0, *(float(number) for number in PICTURE.attrib["viewBox"].split()[2:]))
PX = {
    name: float(size)
    for name, size in re.findall(r"\.(\w+) \{ font-size: (\d+)px", PICTURE.findtext(f"{SVG}style") or "")
}


def place(element: ET.Element) -> Area:
    x, y, width, height = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
    return Area(x, y, x + width, y + height)


def text_area(element: ET.Element) -> Area:
    kind, x, y = element.attrib["class"], float(element.attrib["x"]), float(element.attrib["y"])
    size = PX.get(kind, 12)
    width = len(element.text or "") * size * 0.6
    left = x if kind == "beside" else x - width / 2
    return Area(left, y - 0.8 * size, left + width, y + 0.25 * size)


def line(element: ET.Element) -> Line:
    numbers = [float(number) for number in re.findall(r"[\d.]+", element.attrib["d"])]
    return Line(tuple(zip(numbers[::2], numbers[1::2], strict=True)))


BOXES = {(group.findtext(f"{SVG}text") or ""): place(group[1]) for group in PICTURE.iter(f"{SVG}g")}
LABELS = {(f"{text.text} at {text.attrib['x']}", text_area(text)) for text in PICTURE.findall(f"{SVG}text")}
LINES = [line(path) for path in PICTURE.findall(f"{SVG}path")]
[FRAME] = [place(each) for each in PICTURE.findall(f"{SVG}rect")]


def test_every_state_has_a_box_that_holds_its_words() -> None:
    assert BOXES.keys() == {state.value for state in GroupState}
    for group in PICTURE.iter(f"{SVG}g"):
        written = [text_area(text) for text in group.findall(f"{SVG}text")]
        assert len(written) >= 2
        assert all(each.within(place(group[1])) for each in written), group.findtext(f"{SVG}text")
        assert not any(one.bottom > next_.bottom - 10 for one, next_ in pairwise(written))


def test_no_boxes_and_no_words_overlap() -> None:
    areas = [*BOXES.items(), *LABELS]
    assert len(LABELS) > len(chart.ARROWS)
    assert [(one, other) for (one, a), (other, b) in combinations(areas, 2) if a.overlaps(b)] == []


def test_everything_is_inside_the_picture() -> None:
    areas = [
        *BOXES.values(),
        *(area for _, area in LABELS),
        *(piece for drawn in LINES for piece in drawn.pieces),
        FRAME,
    ]
    assert [area for area in areas if not area.within(WHOLE)] == []


def test_no_arrow_goes_through_a_box_or_words() -> None:
    assert [
        (name, drawn) for (name, area), drawn in product([*BOXES.items(), *LABELS], LINES) if drawn.touches(area)
    ] == []
    assert [name for name, area in LABELS for border in _border(FRAME).pieces if border.overlaps(area)] == []


def test_no_arrows_cross() -> None:
    crossings = [
        (one.points, other.points)
        for one, other in combinations(LINES, 2)
        for a, b in product(one.pieces, other.pieces)
        if Area(a.left, a.top, a.right + 1, a.bottom + 1).overlaps(Area(b.left, b.top, b.right + 1, b.bottom + 1))
    ]
    assert crossings == []


def test_every_arrow_goes_from_the_edge_of_a_box_or_of_the_frame_to_the_edge_of_a_box() -> None:
    for arrow in chart.ARROWS:
        source = BOXES[arrow.sources[0].value] if len(arrow.sources) == 1 else FRAME
        assert source.has_on_its_edge(*arrow.path[0]), arrow
        assert BOXES[arrow.target.value].has_on_its_edge(*arrow.path[-1]), arrow


def test_the_frame_surrounds_the_states_whose_arrow_leaves_it_and_no_other() -> None:
    [framed] = [arrow.sources for arrow in chart.ARROWS if len(arrow.sources) > 1]
    assert {name for name, box in BOXES.items() if box.within(FRAME)} == {state.value for state in framed}
    assert [name for name, box in BOXES.items() if box.overlaps(FRAME) and not box.within(FRAME)] == []


# Colours: the page's theme is the system's, or it is not.

COLOURS = re.findall(r"(\.picture [^{]*) \{ (fill|stroke): (#\w{6}); \}", PICTURE.findtext(f"{SVG}style") or "")
LIGHT, DARK = (
    {(what, which): colour for what, which, colour in part}
    for part in (COLOURS[: len(COLOURS) // 2], COLOURS[len(COLOURS) // 2 :])
)
WHITE, BLACK = "#ffffff", "#0d1117"


def contrast(one: str, other: str) -> float:
    """As WCAG 2.2 defines it."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_light_and_dark_colour_the_same_things() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len(LIGHT) > 8


@pytest.mark.parametrize(
    ("theme", "page", "other"), [(LIGHT, WHITE, BLACK), (DARK, BLACK, WHITE)], ids=["light", "dark"]
)
def test_everything_can_be_read_on_its_page_and_still_on_the_other(
    theme: dict[tuple[str, str], str], page: str, other: str
) -> None:
    label, inside = theme[".picture text", "fill"], theme[".picture g text", "fill"]
    assert contrast(label, page) >= 4.5
    assert contrast(label, other) >= 3
    for (what, which), colour in theme.items():
        if which == "stroke" or "head" in what:
            assert contrast(colour, page) >= 3, what
            assert contrast(colour, other) >= 3, what
        elif "state" in what:
            assert contrast(inside, colour) >= 7, what


def test_no_rule_reaches_what_is_not_the_picture() -> None:
    """It may stand in a page, not only beside it."""
    style = PICTURE.findtext(f"{SVG}style") or ""
    selectors = [each for rule in re.findall(r"^ *([^{}@\n]+) \{", style, re.MULTILINE) for each in rule.split(", ")]
    assert selectors
    assert [each for each in selectors if not each.startswith(".picture")] == []
    assert all(element.attrib["id"].startswith("states-") for element in PICTURE.iter() if "id" in element.attrib)


def _luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _border(area: Area) -> Line:
    left, top, right, bottom = area
    return Line(((left, top), (right, top), (right, bottom), (left, bottom), (left, top)))
