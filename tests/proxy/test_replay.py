"""`trio-swap replay`: what it tells of a journal, as the page about it shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from proxy.cli import main
from states.clients import Ask, Client, Pause, Script
from states.settings import ModelId

from .fake_fleet import Behaviour, table
from .hours import play

PAGE = (Path(__file__).parents[2] / "docs" / "journal.md").read_text()
EXPLORER, CODER = ModelId("explorer"), ModelId("coder")
TABLES = table(EXPLORER, "priority = 3\nunload_delay = 5") + table(CODER, "priority = 2\nunload_delay = 5")
SERVERS = {EXPLORER: Behaviour(load_s=2, stop_s=0.5), CODER: Behaviour(load_s=3, stop_s=0.5)}


def exploring() -> Script:
    yield Ask(EXPLORER, service_s=3)
    yield Pause(2)
    yield Ask(EXPLORER, service_s=3)


def coding() -> Script:
    yield Pause(1)
    yield Ask(CODER, service_s=4)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agent that explores, with a pause that is shorter than its model's hold, and another that waits to code."""
    monkeypatch.chdir(tmp_path)
    clients = [Client("explorer", exploring()), Client("coder", coding())]
    clock = trio.testing.MockClock(autojump_threshold=0)
    written, loads = trio.run(play, tmp_path, clients, TABLES, SERVERS, clock=clock)
    assert loads == [EXPLORER, CODER]
    written.save(Path("swap.jsonl"))
    return Path("swap.jsonl")


@pytest.mark.parametrize("more", ["", " --story default", " --story 2"])
def test_what_the_page_shows_is_what_is_printed(journal: Path, more: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"replay {journal}{more}"
    assert main(command.split()) == 0
    assert f"```console\ntrio-swap {command}\n```\n\n```text\n{capsys.readouterr().out}```\n" in PAGE


def test_a_model_has_a_story_of_its_own(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(journal), "--story", "coder"]) == 0
    told = capsys.readouterr().out.splitlines()[3:]
    assert told
    assert all("(coder)" in line or "for coder" in line for line in told)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nobody", "--story nobody: expected default, explorer, coder, or the number of a ticket"),
        ("17", "there was no ticket 17 in this time"),
    ],
)
def test_a_story_of_nobody_is_an_error_that_says_who_there_is(
    journal: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(journal), "--story", name]) == 2
    assert said in capsys.readouterr().err


def test_the_first_difference_is_shown_with_its_place_and_both_sides(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.write_text(journal.read_text().replace('"cause":"ticket 1 asks for explorer"', '"cause":"a whim"'))
    assert main(["replay", str(journal)]) == 1
    told = capsys.readouterr().out
    assert "swap.jsonl:2: this event does not have the effects that were written down\n  TicketArrived(ticket=1" in told
    assert "cause='a whim'" in told
    assert "cause='ticket 1 asks for explorer'" in told
    assert "it was written by trio-swap 0, and this is " in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "swap.jsonl: No such file or directory"),
        ("", "swap.jsonl: there is nothing in it"),
        ("hello\n", "swap.jsonl:1: this is not a line of JSON"),
        ("{}\n", "swap.jsonl:1: this is not what a journal says"),
    ],
)
def test_a_file_that_is_no_journal_ends_with_2(
    journal: Path, text: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.unlink() if text is None else journal.write_text(text)
    assert main(["replay", str(journal)]) == 2
    assert said in capsys.readouterr().err


def test_a_line_that_was_cut_off_is_told_of(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal.write_bytes(journal.read_bytes()[:-10])
    assert main(["replay", str(journal)]) == 0
    assert "the last line was cut off, as when the proxy is killed; it is left out" in capsys.readouterr().out


def test_the_timeline_is_drawn(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(journal), "--svg", "swap.svg"]) == 0
    drawn = Path("swap.svg").read_text()
    assert drawn.startswith("<svg")
    assert drawn.count("loading: ") == 2
    assert "inf" not in drawn
    assert "nan" not in drawn
