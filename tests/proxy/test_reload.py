"""Reloads: one after the other, each of what is there when it begins, and none that ends anything."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio
import trio.testing

from proxy.config import Config, ConfigError, load_config
from proxy.config.mistakes import Mistake
from proxy.reload import Reloader
from states.settings import ModelId


def _config(folder: Path, *models: str, cmd: str = "serve") -> Config:
    file = folder / "config.toml"
    file.write_text("".join(f'[models.{model}]\ncmd = "{cmd} ${{PORT}}"\n' for model in models))
    return load_config(file, {})


class Stage:
    """A reloader with what it reads and what it does."""

    def __init__(self, first: Config) -> None:
        self.next: Config | Exception = first
        self.readings = 0
        self.applied: list[tuple[Config, frozenset[ModelId]]] = []
        self.ended = trio.Event()
        self.settled = 0
        self.reloader = Reloader(first, self._read, self._apply, self._settle)

    def _read(self) -> Config:
        self.readings += 1
        if isinstance(self.next, Exception):
            raise self.next
        return self.next

    def _apply(self, config: Config, restart: frozenset[ModelId]) -> trio.Event:
        self.applied.append((config, restart))
        return self.ended

    def _settle(self) -> None:
        self.settled += 1


async def test_a_reload_says_what_is_new_what_is_gone_and_what_starts_anew(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    stage = Stage(_config(tmp_path, "a", "b"))
    stage.next = _config(tmp_path, "b", "c", cmd="other")
    nursery.start_soon(stage.reloader.run)
    outcome = await stage.reloader.ask("SIGHUP").outcome()
    assert outcome.report == "new: c; gone: a; restarted: b"
    assert stage.applied == [(stage.next, frozenset({"b"}))]
    assert stage.reloader.last is outcome


async def test_whoever_asks_before_a_reading_begins_shares_it_with_all_who_did(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    stage = Stage(_config(tmp_path, "a"))
    asked = [stage.reloader.ask(cause) for cause in ("SIGHUP", "a file has changed", "SIGHUP")]
    nursery.start_soon(stage.reloader.run)
    outcomes = [await each.outcome() for each in asked]
    assert stage.readings == 1
    assert {outcome.cause for outcome in outcomes} == {"SIGHUP, a file has changed"}
    await stage.reloader.ask("SIGHUP").outcome()
    assert stage.readings == 2


@pytest.mark.parametrize(
    ("error", "report"),
    [
        (ConfigError("config.toml", [Mistake(message="no models")]), "no models"),
        (RecursionError("too deep"), "RecursionError: too deep"),
    ],
)
async def test_what_cannot_be_read_changes_nothing_and_the_next_reload_works(
    tmp_path: Path, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture, error: Exception, report: str
) -> None:
    first = _config(tmp_path, "a")
    stage = Stage(first)
    stage.next = error
    nursery.start_soon(stage.reloader.run)
    with caplog.at_level(logging.ERROR, logger="trio_swap.config"):
        outcome = await stage.reloader.ask("SIGHUP").outcome()
    assert outcome.differences is None
    assert report in outcome.report
    assert "stays as it was" in caplog.text
    assert not stage.applied
    stage.next = first
    assert (await stage.reloader.ask("SIGHUP").outcome()).differences is not None


async def test_a_reload_waits_for_no_server_that_has_to_end_for_it(tmp_path: Path, nursery: trio.Nursery) -> None:
    stage = Stage(_config(tmp_path, "a"))
    nursery.start_soon(stage.reloader.run)
    for _ in range(2):
        await stage.reloader.ask("SIGHUP").outcome()
    assert stage.settled == 0
    stage.ended.set()
    await trio.testing.wait_all_tasks_blocked()
    assert stage.settled == 2
