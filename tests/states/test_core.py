"""The door: same events, same effects; and what cannot have happened is an error with the group's story."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from states import effects as fx
from states import events as ev
from states import invariants
from states.core import Core
from states.effects import Effect
from states.errors import CoreError
from states.group import GroupState, Pressure
from states.settings import GroupId, ModelId, TicketId

from .drama import Drama, model
from .test_against_reference import play as random_play

ELSEWHERE = """
from tests.states.test_core import transcript
print(transcript(7))
"""


def transcript(seed: int) -> str:
    """Everything that a random world was told and answered."""
    lines: list[str] = []

    def watch(event: ev.Event, now: float, effects: list[Effect]) -> None:
        lines.append(f"{now} {event} {effects}")

    random_play(seed, watcher=watch)
    return "\n".join(lines)


def test_the_same_events_give_the_same_effects_whatever_order_sets_have() -> None:
    """Replaying a journal depends on it."""
    told = []
    for hash_seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", ELSEWHERE]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        told.append(ran.stdout)
    assert told[0] == told[1]
    assert told[0].count("\n") > 50


def test_a_journal_replayed_into_a_fresh_core_gives_the_same_effects() -> None:
    journal: list[tuple[ev.Event, float, list[Effect]]] = []
    world, _ = random_play(11, watcher=lambda event, now, effects: journal.append((event, now, effects)))
    fresh = Core(world.core.world.settings)
    assert [fresh.handle(event, now) for event, now, _ in journal] == [effects for _, _, effects in journal]


def test_an_exact_look_at_the_next_deadline_changes_nothing_but_when_things_are_done() -> None:
    eager, lazy = (Drama(a=model(unload_delay_s=5), b=model(max_wait_s=3)).idle("a") for _ in range(2))
    for play in (eager, lazy):
        play.arrives("b1")
    done = eager.at(3) + eager.at(5) + eager.at(9)
    assert lazy.at(9) == done


@pytest.mark.parametrize(
    ("happens", "message"),
    [
        (lambda play: play.arrives("a1"), "ticket 0 arrived twice"),
        (lambda play: play._feed(ev.TicketArrived(ticket=TicketId(9), model=ModelId("z"))), "there is no model 'z'"),
        (lambda play: play._feed(ev.UnloadAsked(asker=ev.AskerId(1), models=(ModelId("z"),))), "there is no model 'z'"),
        (lambda play: play.preload("z"), "there is no model 'z'"),
        (lambda play: play._feed(ev.ServerReady(group=GroupId("z"))), "there is no group 'z'"),
        (lambda play: play.ready("a"), "no transition for became_ready"),
        (lambda play: play.stopped("a"), "no transition for server_stopped"),
        (lambda play: play.later(-1).arrives("a2"), "time went back from 0.0 to -1"),
        (lambda play: (play.unload("a"), play.unload("a")), "asker 1 asked twice"),
        (lambda play: (play.arrives("b1"), play.served("b1")), "was served without a seat"),
    ],
)
def test_what_cannot_have_happened_is_an_error(happens: Callable[[Drama], object], message: str) -> None:
    play = Drama(a=model(), b=model()).serving("a1")
    with pytest.raises(CoreError, match=message):
        happens(play)


def test_a_server_that_was_never_started_is_neither_ready_nor_gone() -> None:
    for happens in ("ready", "failed", "stopped"):
        with pytest.raises(CoreError, match="has no server"):
            getattr(Drama(a=model()), happens)("a")


def test_news_of_tickets_that_are_gone_already_is_no_news() -> None:
    """A client's farewell crosses its refusal or cut."""
    play = Drama(a=model(queue_limit=1, concurrency=1)).serving("a1")
    play.arrives("a2", "a3")
    assert play.left("a3") == []
    play.left("a2")
    assert play.left("a2") == []


def test_the_story_of_a_group_can_be_told() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    story = play.core.story(GroupId("default"))
    assert story[0] == "0.000 idle -> loading (a): ticket 0 asks for a"
    assert story[-1].startswith("0.000 loading -> active (a)")


def test_effects_are_values() -> None:
    play = Drama(a=model())
    play.arrives("a1")
    assert play.effects[0] == fx.StartServer(group=GroupId("default"), model=ModelId("a"))
    assert len({*play.effects}) == len(play.effects)


# The invariants can fail: each of these is a world that must not be.


def _lose(core: Core) -> None:
    core.world.tickets.clear()


def _forget_that_somebody_waits(core: Core) -> None:
    core.world.waiting.clear()


def _forget_a_resident(core: Core) -> None:
    core.world.residents.clear()


def _forget_the_pressure(core: Core) -> None:
    core.world.groups[GroupId("default")].pressure = Pressure.NONE


def _misplace_the_state(core: Core) -> None:
    core.world.groups[GroupId("default")].state = GroupState.IDLE


def _free_the_seats(core: Core) -> None:
    core.world.models[ModelId("a")].seated.clear()


def _take_too_many_seats(core: Core) -> None:
    model_ = core.world.models[ModelId("a")]
    model_.settings = model(concurrency=0) if model_.seated else model_.settings


def _forget_a_deadline(core: Core) -> None:
    core.world.models[ModelId("b")].line.due.clear()


def _stop_nobody(core: Core) -> None:
    core.world.stopping[GroupId("default")] = core.world.groups[GroupId("default")]


@pytest.mark.parametrize(
    "breaks",
    [
        _lose,
        _forget_that_somebody_waits,
        _forget_a_resident,
        _forget_the_pressure,
        _misplace_the_state,
        _free_the_seats,
        _take_too_many_seats,
        _forget_a_deadline,
        _stop_nobody,
    ],
)
def test_the_invariants_notice_a_broken_world(breaks: Callable[[Core], None]) -> None:
    play = Drama(a=model(), b=model()).serving("a1")
    play.arrives("b1")
    invariants.check(play.core)
    breaks(play.core)
    with pytest.raises(CoreError):
        invariants.check(play.core)


def test_random_worlds_differ() -> None:
    """Else the same seed would prove little."""
    assert len({transcript(seed) for seed in range(5)}) == 5
