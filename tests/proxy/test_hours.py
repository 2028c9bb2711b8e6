"""Hours of the workloads that ship, through the whole shell in virtual time: as simulated, and again alike."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing

from proxy.app import Proxy
from proxy.config import load_config
from proxy.journal.playback import replay
from states.clients import Fate
from states.core import Core
from states.retelling import Retelling
from states.settings import ModelId
from states.simulation import Record, Request, Simulation

from .fake_fleet import PROXY_PORT, stage, table
from .hours import KEYS, SERVERS, TABLES, Player, behaviours, clients_of, play, without_ties
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
APART = '[groups.apart]\nmembers = ["m0"]\nexclusive = false\n'


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


@pytest.fixture
def quiet() -> Iterator[None]:
    """A reload sets the log up anew; here it stays as it is."""
    logger = logging.getLogger("trio_swap")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = before


async def test_a_reload_every_few_seconds_of_many_hours_loses_no_request_and_replays(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, quiet: None
) -> None:
    journal, fates = MemoryJournal(), Counter[Fate]()
    configs = []
    for number in range(3):
        file = tmp_path / f"{number}.toml"
        turned = [table(f"m{place}", KEYS[(place + number) % 3]) for place in range(3)]
        file.write_text("".join(turned) + ("", APART)[number == 2])
        configs.append(load_config(file))

    async def reload(proxy: Proxy) -> None:
        for number in count():
            await trio.sleep(7.3)
            changing = frozenset({ModelId(f"m{number % 3}")} if number % 50 == 0 else ())
            ended = proxy.reconfigure(configs[number % 3], changing)
            await ended.wait()
            proxy.close_groups()

    async with stage(tmp_path, TABLES, behaviours(), journal=journal) as scene, trio.open_nursery() as reloads:
        reloads.start_soon(reload, scene.proxy)
        async with scene.network.client(PROXY_PORT) as http, trio.open_nursery() as nursery:
            Player(http, nursery, fates).start(clients_of("agents", 1, 100))
        reloads.cancel_scope.cancel()
    assert fates.keys() == {Fate.SERVED}
    record = retold(journal, tmp_path / "journal.jsonl")
    assert len(record.requests) == fates.total()
    assert sum(b'"SettingsChanged"' in line for line in journal.lines) > 500


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
