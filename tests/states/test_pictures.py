"""The pictures of the documentation can be read on light pages and on dark ones, and show what the core does."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from .drama import Drama, model
from .reading_svg import BLACK, SVG, WHITE, Picture, contrast

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
PICTURES = {name: Picture((FOLDER / name).read_text()) for name in ("states.svg", "times.svg")}
every_picture = pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)

FILLED = {".state", ".loading", ".stopping", ".loaded", ".serving"}
"""What words stand on, here and there; everything else stands on the page."""
INSIDE = {".name", ".brief", ".in", ".on"}


@every_picture
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everything_can_be_read_on_a_page_of_its_theme_and_on_one_of_the_other(*, picture: Picture, dark: bool) -> None:
    """A page's own switch may say light while the system says dark."""
    colours = picture.colours()[dark]
    own, other = (BLACK, WHITE) if dark else (WHITE, BLACK)
    assert len(colours) > 8
    for (what, which), colour in colours.items():
        kind = what.split()[-1]
        if kind in FILLED and which == "fill":
            words = {each for (text, _), each in colours.items() if text.split()[-1] in INSIDE}
            best = max(contrast(colour, each) for each in words)
            assert best >= (4.5 if kind == ".serving" else 7), what
        elif kind not in INSIDE:
            assert contrast(colour, own) >= (4.5 if kind == "text" else 3), what
            assert contrast(colour, other) >= 3, what


@every_picture
def test_light_and_dark_colour_the_same_things(picture: Picture) -> None:
    light, dark = picture.colours()
    assert light.keys() == dark.keys()


@every_picture
def test_no_rule_and_no_name_reaches_what_is_not_the_picture(picture: Picture) -> None:
    """It may stand in a page, beside other pictures."""
    assert all(selector.startswith(f".{picture.name} ") for colours in picture.colours() for selector, _ in colours)
    rules = [line.strip() for line in picture.style.splitlines() if "{" in line and not line.startswith("@media")]
    assert [rule for rule in rules if not rule.startswith(f".{picture.name} ")] == []
    begin = picture.name.removesuffix("picture")
    assert [each.attrib["id"] for each in picture.root.iter() if not each.get("id", begin).startswith(begin)] == []


@every_picture
def test_those_who_cannot_see_it_are_told(picture: Picture) -> None:
    title, description = picture.root.findtext(f"{SVG}title"), picture.root.findtext(f"{SVG}desc")
    ids = [each.attrib["id"] for each in picture.root if each.tag in (f"{SVG}title", f"{SVG}desc")]
    assert picture.root.attrib["role"] == "img"
    assert picture.root.attrib["aria-labelledby"].split() == ids
    assert title
    assert len(description or "") > 100


# docs/pictures/times.svg: four scenes, played as they are drawn.

TIMES = PICTURES["times.svg"]
SCENES = {scene.attrib["data-key"]: scene for scene in TIMES.root.findall(f"{SVG}g")}
every_scene = pytest.mark.parametrize("key", SCENES)

CAST = {
    "unload_delay": lambda value: Drama(a=model(unload_delay_s=value), b=model()),
    "min_loaded": lambda value: Drama(a=model(min_loaded_s=value), b=model()),
    "ttl": lambda value: Drama(a=model(ttl_s=value), b=model()),
    "max_wait": lambda value: Drama(a=model(priority=1, unload_delay_s=4), b=model(max_wait_s=value)),
}


def at(x: float) -> float:
    """The time of a place in the picture."""
    return (x - 174) / 40


def bars(key: str, kind: str) -> list[tuple[str, float, float]]:
    """Who it is about, from when, until when."""
    found = []
    for each in SCENES[key].findall(f"{SVG}rect[@class='{kind}']"):
        area = TIMES.rectangle(each)
        found.append((each.get("data-ticket") or each.get("data-model") or "", at(area.left), at(area.right)))
    return found


def value_of(key: str) -> float:
    name, _, value = (SCENES[key].findtext(f"{SVG}text[@class='key']") or "").partition(" = ")
    assert name == key
    return float(value)


def arrivals(key: str) -> dict[str, float]:
    """Where there is a dot, else when its bar begins, or the load that it waits for."""
    dots = SCENES[key].findall(f"{SVG}circle")
    asked = {dot.attrib["data-ticket"]: at(float(dot.attrib["cx"])) for dot in dots}
    loads = {ready: began for _, began, ready in bars(key, "loading")}
    return {ticket: asked.get(ticket, loads.get(began, began)) for ticket, began, _ in bars(key, "serving")}


@every_scene
def test_the_core_does_what_the_picture_of_the_times_shows(key: str) -> None:
    play = CAST[key](value_of(key))
    loads, stops, services = bars(key, "loading"), bars(key, "stopping"), bars(key, "serving")
    if "a" not in [name for name, _, _ in loads]:
        play.idle("a")
    happens = [
        *((until, 0, play.served, ticket) for ticket, _, until in services),
        *((until, 1, play.stopped, name) for name, _, until in stops),
        *((until, 2, play.ready, name) for name, _, until in loads),
        *((when, 3, play.arrives, ticket) for ticket, when in arrivals(key).items()),
    ]
    drawn = sorted(
        [(began, f"start {name}") for name, began, _ in loads]
        + [(began, f"stop {name}") for name, began, _ in stops]
        + [(began, f"grant {ticket}") for ticket, began, _ in services]
    )
    done: list[tuple[float, str]] = []
    for now in sorted({when for when, *_ in happens} | {when for when, _ in drawn}):
        assert play.at(max(play.now, now - 0.001)) == [], f"nothing happens until {now}"
        done += [(now, line) for line in play.at(now)]
        for _, _, act, name in sorted((each for each in happens if each[0] == now), key=lambda each: each[1]):
            done += [(now, line) for line in act(name)]
    assert [each for each in sorted(done) if "bypasses" not in each[1]] == drawn


@every_scene
def test_the_span_of_a_scene_is_the_value_of_its_key(key: str) -> None:
    [span] = SCENES[key].findall(f"{SVG}path[@class='span']")
    begin, end = (at(float(span.attrib["d"].split(letter)[1].split()[0])) for letter in ("M", "H"))
    assert end - begin == value_of(key)
    assert SCENES[key].findtext(f"{SVG}text[@class='counted']") == f"{value_of(key):g} s"
    match key:
        case "min_loaded":
            counts_from = bars(key, "loading")[0][2]
        case "max_wait":
            counts_from = arrivals(key)["b1"]
        case _:
            counts_from = max(until for ticket, _, until in bars(key, "serving") if ticket.startswith("a"))
    assert begin == counts_from


@every_scene
def test_a_model_is_called_held_while_a_rival_waits_and_idle_while_none_does(key: str) -> None:
    words = {text.attrib["x"]: text.text for text in SCENES[key].findall(f"{SVG}text[@class='in']")}
    for _, began, until in bars(key, "loaded"):
        rival_waits = arrivals(key).get("b1", until) <= began
        assert words[f"{174 + 20 * (began + until):g}"] == ("held" if rival_waits else "idle")


def test_no_words_of_the_times_overlap() -> None:
    areas = [(text.text, TIMES.words(text)) for text in TIMES.root.iter(f"{SVG}text")]
    assert len(areas) > 40
    assert [(one, other) for (one, a), (other, b) in combinations(areas, 2) if a.overlaps(b)] == []
    assert [text for text, area in areas if not area.within(TIMES.whole)] == []
