"""The diagrams show the machine, all of it and nothing else; the picture can be read, on light pages and dark ones."""

from __future__ import annotations

import re
from itertools import combinations, pairwise, product
from pathlib import Path

import pytest

from states import chart, diagrams
from states.errors import CoreError
from states.group import Group, GroupLife, GroupState, Pressure, Signal
from states.settings import GroupId, ModelId

from .reading_svg import SVG, Picture

DOCS = Path(__file__).parents[2] / "docs"
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


# Geometry, as it is in the file.

PICTURE = Picture(chart.svg())
BOXES = {(group.findtext(f"{SVG}text") or ""): PICTURE.rectangle(group[1]) for group in PICTURE.root.iter(f"{SVG}g")}
LABELS = {(f"{text.text} at {text.attrib['x']}", PICTURE.words(text)) for text in PICTURE.root.findall(f"{SVG}text")}
LINES = [PICTURE.line(path) for path in PICTURE.root.findall(f"{SVG}path")]
[FRAME] = [PICTURE.rectangle(each) for each in PICTURE.root.findall(f"{SVG}rect")]


def test_every_state_has_a_box_that_holds_its_words() -> None:
    assert BOXES.keys() == {state.value for state in GroupState}
    for group in PICTURE.root.iter(f"{SVG}g"):
        written = [PICTURE.words(text) for text in group.findall(f"{SVG}text")]
        assert len(written) >= 2
        assert all(each.within(PICTURE.rectangle(group[1])) for each in written), group.findtext(f"{SVG}text")
        assert not any(upper.bottom > lower.bottom - 10 for upper, lower in pairwise(written))


def test_no_boxes_and_no_words_overlap() -> None:
    areas = [*BOXES.items(), *LABELS]
    assert len(LABELS) > len(chart.ARROWS)
    assert [(one, other) for (one, a), (other, b) in combinations(areas, 2) if a.overlaps(b)] == []


def test_everything_is_inside_the_picture() -> None:
    pieces = [piece for drawn in LINES for piece in drawn.pieces]
    areas = [*BOXES.values(), *(area for _, area in LABELS), *pieces, FRAME]
    assert [area for area in areas if not area.within(PICTURE.whole)] == []


def test_no_arrow_goes_through_a_box_or_words() -> None:
    things = [*BOXES.items(), *LABELS]
    assert [(name, drawn) for (name, area), drawn in product(things, LINES) if drawn.touches(area)] == []
    assert [name for name, area in things if FRAME.border.touches(area)] == []


def test_no_arrows_cross() -> None:
    assert [(one, other) for one, other in combinations(LINES, 2) if one.crosses(other)] == []


def test_every_arrow_goes_from_the_border_of_a_box_or_of_the_frame_to_the_border_of_a_box() -> None:
    for arrow in chart.ARROWS:
        source = BOXES[arrow.sources[0].value] if len(arrow.sources) == 1 else FRAME
        assert source.has_on_its_border(*arrow.path[0]), arrow
        assert BOXES[arrow.target.value].has_on_its_border(*arrow.path[-1]), arrow


def test_the_frame_surrounds_the_states_whose_arrow_leaves_it_and_no_other() -> None:
    [framed] = [arrow.sources for arrow in chart.ARROWS if len(arrow.sources) > 1]
    assert {name for name, box in BOXES.items() if box.within(FRAME)} == {state.value for state in framed}
    assert [name for name, box in BOXES.items() if box.overlaps(FRAME) and not box.within(FRAME)] == []
