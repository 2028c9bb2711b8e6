"""What the pages show is tried: configuration files load, commands parse, links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from jsonschema import Draft202012Validator

from proxy.cli import VERBS, parser_of
from proxy.config import load_config
from proxy.config.json_schema import json_schema
from proxy.config.placeholders import names_in
from proxy.config.spelling import OTHER_NAMES

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block; what is in none of them is not a block, whatever it looks like."""
    found: list[Block] = []
    lines: list[str] = []
    opened: re.Match[str] | None = None
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if opened is None:
            opened = re.fullmatch(r'( *)```(\w*)(?: title="(.*)")?', line)
            assert opened or not line.lstrip().startswith("```"), f"{page}:{number}: {line}"
            lines = []
        elif line == f"{opened[1]}```":
            text = "".join(f"{each.removeprefix(opened[1])}\n" for each in lines)
            found.append(Block(page, number - len(lines), opened[2], opened[3] or "", text))
            opened = None
        else:
            lines.append(line)
    assert opened is None, f"{page}: a block is not closed"
    return found


def prose(page: Path) -> str:
    """A page without its blocks and without code in its lines."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]+`", "", text)


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
OURS = [block for block in BLOCKS if block.language == "toml" and not block.title]
"""A title is the name of another tool's file."""


def named(block: object) -> str:
    return str(block)


def test_there_is_something_to_try() -> None:
    assert len(OURS) > len({block.page for block in OURS}) > 5
    assert [block for block in BLOCKS if not block.language and block.page.parent == ROOT] == []


@pytest.mark.parametrize("block", OURS, ids=named)
def test_a_configuration_file_on_a_page_is_right(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tomllib.loads(block.text)
    text = block.text if "models" in written else f'{block.text}\n[models.any]\ncmd = "server ${{PORT}}"\n'
    for name in names_in(block.text):
        if name.startswith("env."):
            monkeypatch.setenv(name.removeprefix("env."), "/somewhere")
    file = tmp_path / "config.toml"
    file.write_text(text)
    load_config(file)
    Draft202012Validator(json_schema()).validate(tomllib.loads(text))


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in {"json", "toml"}], ids=named)
def test_a_block_is_written_in_its_language(block: Block) -> None:
    (json if block.language == "json" else tomllib).loads(block.text)


def commands(block: Block) -> list[list[str]]:
    """The words of every command line of ours in a block: at its start, or after what a shell puts between two."""
    lines = re.sub(r"\\\n", " ", block.text).splitlines()
    found = []
    for line in (line for line in lines if "trio-swap" in line):
        words = shlex.split(line.removeprefix("$ "), comments=True)
        starts = [index for index, word in enumerate(words) if re.fullmatch(r"(.*/)?trio-swap", word)]
        for start in starts:
            if start == 0 or words[start - 1] in {"&&", "|", "exec"}:
                end = next((index for index in range(start, len(words)) if words[index] in STOPS), len(words))
                found.append(words[start + 1 : end])
    return found


STOPS = {"&&", "|", ">", ">>", "2>", "<", "&", ";"}
LINES = [
    (block, words)
    for block in BLOCKS
    if block.language in {"console", "sh", "bash"}
    for words in commands(block)
    if "CONFIG" not in words  # a synopsis
]


@pytest.mark.parametrize(("block", "words"), LINES, ids=str)
def test_a_command_on_a_page_is_one_that_the_program_takes(
    block: Block, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code: object = 0
    try:
        parser_of().parse_args(words)
    except SystemExit as ended:
        code = ended.code
    assert code == 0, f"{block}: {capsys.readouterr().err}"


def test_every_verb_is_on_a_page() -> None:
    shown = {words[0] for _, words in LINES if words} | {
        verb for page in PAGES for verb in VERBS if f"trio-swap {verb}" in page.read_text()
    }
    assert set(VERBS) - shown == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_one_title_and_links_that_lead_somewhere(page: Path) -> None:
    text = prose(page)
    assert len(re.findall(r"^# .+$", text, re.MULTILINE)) == 1
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        file = (page.parent / path) if path else page
        assert file.exists(), f"{page.relative_to(ROOT)}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page.relative_to(ROOT)}: {target}"


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in an address."""
    titles = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    plain = (re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", title)).strip().lower() for title in titles)
    return {re.sub(r"\s+", "-", each) for each in plain}


OF_OTHERS = {ROOT / "docs" / "llama-swap.md"}
"""Pages that are about other tools' keys."""


@pytest.mark.parametrize("page", sorted(set(PAGES) - OF_OTHERS), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_calls_keys_by_their_names(page: Path) -> None:
    """Other tools' names for keys of ours have no place in a configuration on a page, nor where a key is explained."""
    said = set(re.findall(r"`(\w+)`", page.read_text()))
    others = {name for name in OTHER_NAMES if "_" in name} | {_camel(name) for name in OTHER_NAMES if "_" in name}
    assert said & others == set()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(each.capitalize() for each in rest)
