"""The Core beside a second, independent scheduler: the same random worlds, the same deeds at the same times."""

from __future__ import annotations

from random import Random

import pytest

from states import effects as fx
from states import events as ev
from states.core import Core
from states.effects import Effect
from states.settings import ModelId, Settings, TicketId

from .environment import Durations, Environment, Watcher
from .reference import Deed, Reference
from .worlds import random_settings

BATCHES = 10
WORLDS_PER_BATCH = 20
TICKETS = 40
PRELOADS = 0.05
"""How often somebody asks for one, beside a ticket."""


class Beside:
    """Tells the reference whatever the Core is told, and compares what each wants done about it."""

    def __init__(self, settings: Settings) -> None:
        self.reference = Reference(settings)
        self.core: Core | None = None
        self.servers: dict[str, ModelId] = {}
        self.story: list[str] = []

    def __call__(self, event: ev.Event, now: float, effects: list[Effect]) -> None:
        mine = self._tell(event, now)
        theirs = [deed for effect in effects if (deed := _deed(effect)) is not None]
        self.story.append(f"{now:g} {event}: core {theirs}, reference {mine}")
        assert sorted(map(repr, mine)) == sorted(map(repr, theirs)), "\n".join(self.story[-30:])
        if self.core is not None:
            assert self.core.next_deadline() == self.reference.next_deadline(), "\n".join(self.story[-30:])
        self.servers |= {effect.group: effect.model for effect in effects if isinstance(effect, fx.StartServer)}

    def _tell(self, event: ev.Event, now: float) -> list[Deed]:
        match event:
            case ev.ServerReady(group=group):
                return self.reference.ready(self.servers[group], now)
            case ev.ServerFailed(group=group, failure=failure):
                return self.reference.failed(self.servers[group], failure.value, now)
            case ev.ServerStopped(group=group):
                return self.reference.stopped(self.servers[group], now)
            case _:
                return self.reference.handle(event, now)


def _deed(effect: Effect) -> Deed | None:
    match effect:
        case fx.StartServer(model=model):
            return ("start", model)
        case fx.StopServer(model=model):
            return ("stop", model)
        case fx.GrantSeat(ticket=ticket):
            return ("grant", ticket)
        case fx.RefuseTicket(ticket=ticket, refusal=refusal):
            return ("refuse", ticket, refusal.code.value)
        case fx.CutSeat(ticket=ticket, refusal=refusal):
            return ("cut", ticket, refusal.code.value)
        case fx.ConfirmUnload(asker=asker):
            return ("confirm", asker)
        case _:
            return None


def play(seed: int, watcher: Watcher = lambda *_: None) -> tuple[Environment, Beside]:
    """A world with everything in it but the end of the proxy, until nothing is left to do."""
    rng = Random(seed)
    settings = random_settings(rng)
    beside = Beside(settings)
    failing = rng.choice([0.0, 0.0, 0.2])
    durations = Durations(
        load_s=lambda _: rng.choice([0.0, 0.25, 1.0, 2.5]),
        stop_s=lambda _: rng.choice([0.0, 0.25, 1.0]),
        service_s=lambda _: rng.choice([0.0, 0.25, 1.0, 2.0]),
        fails=lambda _: rng.random() < failing,
    )
    world = Environment(settings, durations, rng, beside, watcher)
    world.oversleeps = rng.choice([0.0, 0.0, 0.5])
    beside.core = world.core
    names = list(settings.models)
    pace = rng.choice([0.1, 0.5, 2.0])
    time = 0.0
    for number in range(TICKETS):
        time += rng.choice([0.0, 0.25, 0.5, 1.0]) * pace
        ticket = TicketId(number)
        priority = rng.choice([None, None, None, 0, 5])
        world.plan(time, ev.TicketArrived(ticket=ticket, model=rng.choice(names), priority=priority))
        if rng.random() < 0.15:
            world.plan(time + rng.choice([0.0, 0.25, 1.0, 3.0]), ev.TicketLeft(ticket=ticket))
        if rng.random() < 0.05:
            models = tuple(rng.sample(names, rng.randint(1, len(names))))
            asker = ev.AskerId(number)
            world.plan(time, ev.UnloadAsked(asker=asker, models=models, keep_waiting=rng.random() < 0.5))
        if rng.random() < PRELOADS:
            world.plan(time, ev.PreloadAsked(models=(rng.choice(names),)))
    world.run()
    return world, beside


@pytest.mark.parametrize("batch", range(BATCHES))
def test_loads_seats_and_their_times_are_those_of_the_reference(batch: int) -> None:
    for seed in range(batch * WORLDS_PER_BATCH, (batch + 1) * WORLDS_PER_BATCH):
        world, beside = play(seed)
        assert world.loads, f"world {seed} did nothing"
        assert not world.outside.waiting, f"world {seed} forgot {world.outside.waiting}"
        assert not beside.reference.waiting
