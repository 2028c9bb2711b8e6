"""The documentation as a site: it builds without a complaint, every page is in its navigation, nothing is fetched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FETCHED = {
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "object": ("data",),
    "use": ("href",),
}
"""What a browser fetches by itself, by element."""
ELSEWHERE = re.compile(r"(?:\w+:)?//")


class Page(HTMLParser):
    """What a built page refers to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.navigation: list[str] = []
        self.titles = 0
        self.classes: set[str] = set()
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.classes.update(said.get("class", "").split())
        self.titles += tag == "h1"
        self.fetched += [said[name] for name in FETCHED.get(tag, ()) if name in said]
        self.fetched += re.findall(r"url\(['\"]?([^'\")]+)", said.get("style", ""))
        if tag == "a" and "md-nav__link" in said.get("class", "") and "#" not in said.get("href", "#"):
            self.navigation.append(said["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly from a copy of what it is made of."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, folder / "docs")
    shutil.copy(ROOT / ".zensical.toml", folder)
    build = [sys.executable, "-m", "zensical", "build", "--strict", "-f", ".zensical.toml"]
    built = subprocess.run(
        build, cwd=folder, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, timeout=120, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / ".site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """Every built page by its path."""
    return {str(file.relative_to(site)): Page(file) for file in site.rglob("*.html")}


def test_every_page_is_in_the_navigation_and_nothing_else_is(pages: dict[str, Page]) -> None:
    written = {str(file.relative_to(DOCS).with_suffix(".html")) for file in DOCS.rglob("*.md")}
    assert set(pages) - {"404.html"} == written
    led_to = [os.path.normpath(link) for link in pages["index.html"].navigation]
    assert sorted(set(led_to)) == sorted(written)


def test_every_page_has_one_title(pages: dict[str, Page]) -> None:
    assert {path: page.titles for path, page in pages.items() if page.titles != 1} == {}


def test_nothing_on_a_page_comes_from_elsewhere(site: Path, pages: dict[str, Page]) -> None:
    assert all(page.fetched for page in pages.values())
    fetched = {link for page in pages.values() for link in page.fetched}
    assert [link for link in fetched if ELSEWHERE.match(link)] == []
    styles = [style.read_text() for style in site.rglob("*.css")]
    assert styles
    linked = [link for style in styles for link in re.findall(r"(?:url\(|@import\s)\s*['\"]?([^'\")\s]+)", style)]
    assert [link for link in linked if ELSEWHERE.match(link)] == []
    # For these the theme's script would fetch a library.
    assert {"mermaid", "glightbox", "arithmatex"} & {each for page in pages.values() for each in page.classes} == set()


def test_what_a_page_fetches_is_there(site: Path, pages: dict[str, Page]) -> None:
    for path, page in pages.items():
        if path != "404.html":
            for link in page.fetched:
                target = (site / path).parent / link.partition("#")[0]
                assert link.startswith("data:") or target.exists(), f"{path}: {link}"


def test_the_search_knows_every_page(site: Path, pages: dict[str, Page]) -> None:
    places = {item["location"].partition("#")[0] for item in json.loads((site / "search.json").read_text())["items"]}
    assert set(pages) - {"404.html"} - places == set()
