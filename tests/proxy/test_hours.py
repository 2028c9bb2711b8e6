"""Hours of the workloads that ship, through the whole shell in virtual time: as simulated, and again alike."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing

from proxy.config import load_config
from proxy.journal.playback import replay
from states.core import Core
from states.retelling import Retelling
from states.simulation import Record, Request, Simulation

from .hours import SERVERS, TABLES, clients_of, play, without_ties
from .journals import MemoryJournal

WORKLOADS = {
    "story": 100,
    "lone-agent": 100,
    "subtasks": 100,
    "title": 100,
    "thread": 100,
    "endless": 120,
    "agents": 300,
    "mix": 300,
}
"""By name, with about how many requests."""


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> Random:
    """Which of the tasks that can run goes first is Trio's to draw: from these numbers."""
    rng = Random(1)
    monkeypatch.setattr("trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING", True)
    monkeypatch.setattr("trio._core._run._r", rng)
    return rng


def retold(journal: MemoryJournal, path: Path) -> Record:
    """Replay a journal, which must go as it went, and return the record of it."""
    told: list[Retelling] = []

    def listen(opening: object) -> list[Retelling]:
        told.append(Retelling(0.0))
        return told

    replayed = replay(journal.save(path), listen)
    assert replayed.difference is None, replayed.difference
    assert replayed.events == len(journal.lines) - 1
    return told[0].finish(replayed.ended_at)


def simulated(folder: Path, workload: str, requests: int) -> Record:
    file = folder / "simulated.toml"
    file.write_text(TABLES)
    core = Core(load_config(file).settings)
    return Simulation(core, SERVERS).run(without_ties(clients_of(workload, 1, requests), workload))


def course(requests: list[Request]) -> list[tuple[object, ...]]:
    return [(request.model, request.arrived_at, request.seated_at, request.ended_at) for request in requests]


@pytest.mark.parametrize(("workload", "requests"), WORKLOADS.items(), ids=WORKLOADS)
async def test_where_nothing_ties_the_shell_does_what_the_simulation_says(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, workload: str, requests: int
) -> None:
    journal, loads = await play(tmp_path, without_ties(clients_of(workload, 1, requests), workload))
    expected = simulated(tmp_path, workload, requests)
    record = retold(journal, tmp_path / "journal.jsonl")
    assert loads == expected.loads == record.loads
    assert len(record.requests) == len(expected.requests)
    for ours, theirs in zip(course(record.requests), course(expected.requests), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    last = max(request.ended_at for request in record.requests)
    assert last == pytest.approx(expected.ended_at, abs=1e-6)


async def test_half_a_day_of_coding_agents_replays(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    journal, _ = await play(tmp_path, clients_of("agents", 2, 800))
    record = retold(journal, tmp_path / "journal.jsonl")
    assert record.ended_at > 12 * 3600
    assert len(record.loads) > 100


@pytest.mark.parametrize("workload", WORKLOADS)
async def test_where_things_tie_the_journal_replays(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, workload: str
) -> None:
    """As they ship, the workloads are full of round numbers."""
    journal, loads = await play(tmp_path, clients_of(workload, 1, 60))
    assert retold(journal, tmp_path / "journal.jsonl").loads == loads


@pytest.mark.parametrize("workload", ["story", "thread", "mix"])
def test_the_same_seed_gives_the_same_journal_and_others_break_ties_in_other_ways(
    tmp_path: Path, seeded: Random, workload: str
) -> None:
    journals = []
    for seed in (1, 1, 2, 3, 4):
        seeded.seed(seed)
        clock = trio.testing.MockClock(autojump_threshold=0)
        journal, _ = trio.run(play, tmp_path, clients_of(workload, 1, 60), clock=clock)
        retold(journal, tmp_path / "journal.jsonl")
        journals.append(b"".join(journal.lines))
    assert journals[0] == journals[1]
    if workload != "mix":  # whose times are no round numbers
        assert len(set(journals)) > 1
