"""Pictures of simulations can be read on light pages and on dark ones, and keep to themselves."""

from __future__ import annotations

import pytest

from proxy.pictures.drawing import Drawing, number, seconds, ticks
from tests.printed_pages import PICTURES
from tests.states.reading_svg import BLACK, SVG, WHITE, Picture, contrast

NAMES = ("story.svg", "lone-agent.svg", "thread.svg", "waits.svg", "sweep.svg")
every_picture = pytest.mark.parametrize(
    "picture", [Picture((PICTURES / name).read_text()) for name in NAMES], ids=NAMES
)


@every_picture
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everything_can_be_read_on_a_page_of_its_theme_and_on_one_of_the_other(*, picture: Picture, dark: bool) -> None:
    colours = picture.colours()[dark]
    assert len(colours) > 8
    for (what, _), colour in colours.items():
        own, other = (BLACK, WHITE) if dark else (WHITE, BLACK)
        assert contrast(colour, own) >= (4.5 if what.endswith(" text") else 3), what
        assert contrast(colour, other) >= 3, what


@every_picture
def test_light_and_dark_colour_the_same_things(picture: Picture) -> None:
    light, dark = picture.colours()
    assert light.keys() == dark.keys()


@every_picture
def test_no_rule_and_no_name_reaches_what_is_not_the_picture(picture: Picture) -> None:
    rules = [line for line in picture.style.splitlines() if "{" in line and not line.startswith("@media")]
    assert [rule for rule in rules if not rule.startswith(f".{picture.name} ")] == []
    assert [
        each.attrib["id"] for each in picture.root.iter() if not each.get("id", "simulation").startswith("simulation")
    ] == []


@every_picture
def test_every_kind_that_is_drawn_has_a_look(picture: Picture) -> None:
    kinds = {each.get("class") for each in picture.root.iter()} - {None, picture.name}
    assert [kind for kind in sorted(map(str, kinds)) if f".{picture.name} .{kind}" not in picture.style] == []


@every_picture
def test_those_who_cannot_see_it_are_told(picture: Picture) -> None:
    ids = [each.attrib["id"] for each in picture.root if each.tag in (f"{SVG}title", f"{SVG}desc")]
    assert picture.root.attrib["aria-labelledby"].split() == ids
    assert "loads" in (picture.root.findtext(f"{SVG}desc") or "")


@every_picture
def test_nothing_is_drawn_beyond_the_edges(picture: Picture) -> None:
    boxes = [picture.rectangle(each) for each in picture.root.iter(f"{SVG}rect")]
    assert boxes
    assert all(box.within(picture.whole) for box in boxes)


def test_words_from_outside_stay_words() -> None:
    drawing = Drawing(width=10, title="a < b", description="& more")
    drawing.text(0, 10, "<script>")
    assert "<script>" not in drawing.svg()
    assert drawing.svg().count("&lt;") == 2


def test_an_axis_has_round_numbers() -> None:
    assert ticks(103.0, 10) == [0, 20, 40, 60, 80, 100]
    assert ticks(0.7, 5) == pytest.approx([0, 0.2, 0.4, 0.6])
    assert ticks(0.0, 5) == [0.0]


def test_times_are_written_for_people() -> None:
    assert [seconds(each) for each in (0.4, 12, 126, 900, 9000)] == ["0.4 s", "12 s", "126 s", "15 min", "2.5 h"]
    assert [number(each) for each in (1, 1.04, 1.26)] == ["1", "1", "1.3"]
