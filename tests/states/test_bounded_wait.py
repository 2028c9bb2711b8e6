"""Rule 7: from its deadline on nothing that a ticket outranks is in its way, so a wait has a bound.

And `fifo` never reorders.
"""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from states import effects as fx
from states import events as ev
from states.bounds import Bound, services_in_a_visit
from states.effects import Effect
from states.settings import ModelId, ModelSettings, Settings, Strategy, TicketId

from .drama import Drama, model
from .environment import Durations, Environment
from .worlds import random_groups

LONGEST_LOAD_S = 2.0
LONGEST_STOP_S = 1.0
LONGEST_SERVICE_S = 2.0
WORLDS = 60


def test_the_gate_closes_at_the_deadline_of_an_equal_rival() -> None:
    play = Drama(a=model(), b=model(max_wait_s=3)).serving("a1")
    play.arrives("b1")
    assert play.later(2.999).arrives("a2") == ["grant a2"]
    assert play.later(3).arrives("a3") == []


def test_the_gate_closes_at_the_deadline_of_a_lower_rival() -> None:
    play = Drama(a=model(priority=9), b=model(max_wait_s=3)).serving("a1")
    play.arrives("b1")
    assert play.later(3).arrives("a2") == []
    assert play.later(4).served("a1") == ["stop a"]


def test_nothing_that_an_overdue_ticket_outranks_loads_in_its_way() -> None:
    play = Drama(a=model(), b=model(max_wait_s=3), c=model(priority=9)).serving("a1")
    play.arrives("b1")
    play.later(4).arrives("c1")
    play.served("a1")
    assert play.stopped("a") == ["start b"]


def test_no_hold_stands_against_an_overdue_ticket() -> None:
    play = Drama(a=model(unload_delay_s=100), b=model(max_wait_s=3)).serving("a1")
    play.arrives("b1")
    assert "stop a" in play.later(4).served("a1")


def test_deadlines_that_fall_on_one_instant_are_all_noticed() -> None:
    play = Drama(a=model(), b=model(max_wait_s=3), c=model(max_wait_s=3)).serving("a1")
    play.arrives("b1", "b2", "c1")
    play.at(3)
    assert all(play.view(name).overdue for name in ("b1", "b2", "c1"))


# As a property of random worlds.


class Waits:
    """Measures what rule 7 bounds, and what its bound is made of."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.arrived: dict[TicketId, tuple[float, ModelId]] = {}
        self.served_at: dict[TicketId, float] = {}
        self.crowd = dict.fromkeys(settings.models, 0)
        """The most that ever waited for a model at once."""
        self.checked = 0

    def __call__(self, event: ev.Event, now: float, effects: list[Effect]) -> None:
        if isinstance(event, ev.TicketArrived):
            self.arrived[event.ticket] = now, event.model
            waiting = [ticket for ticket in self.arrived if ticket not in self.served_at]
            crowd = sum(self.arrived[ticket][1] == event.model for ticket in waiting)
            self.crowd[event.model] = max(self.crowd[event.model], crowd)
        for effect in effects:
            if isinstance(effect, fx.GrantSeat):
                self.served_at[effect.ticket] = now
                self._check(effect.ticket, now)

    def _check(self, ticket: TicketId, now: float) -> None:
        arrived_at, name = self.arrived[ticket]
        max_wait_s = self.settings.models[name].max_wait_s
        if max_wait_s:
            bound = Bound(
                wait_s=max_wait_s,
                visits=self._models_before(ticket) + 2,
                services=services_in_a_visit(
                    (crowd, self.settings.models[each].concurrency) for each, crowd in self.crowd.items()
                ),
                swap_s=LONGEST_STOP_S + LONGEST_LOAD_S,
            )
            assert now - arrived_at <= bound.seconds(LONGEST_SERVICE_S)
            self.checked += now > arrived_at

    def _models_before(self, ticket: TicketId) -> int:
        """k: the other models with an earlier deadline that still waited at this ticket's own."""
        deadline, model_ = self._deadline(ticket), self.arrived[ticket][1]
        others = (other for other in self.arrived if self.served_at.get(other, deadline) >= deadline)
        before = {self.arrived[other][1] for other in others if self._deadline(other) < deadline}
        return len(before - {model_})

    def _deadline(self, ticket: TicketId) -> float:
        arrived_at, name = self.arrived[ticket]
        return arrived_at + (self.settings.models[name].max_wait_s or inf)


def bounded_world(seed: int) -> tuple[Environment, Waits]:
    """A world in which services are bounded, and a flood of important requests never ends by itself."""
    rng = Random(seed)
    names = [ModelId(name) for name in "abcd"[: rng.randint(2, 4)]]
    models = {
        name: ModelSettings(
            priority=rng.choice([0, 1, 2]),
            unload_delay_s=rng.choice([0.0, 2.0, 1000.0]),
            min_loaded_s=rng.choice([0.0, 1000.0]),
            max_wait_s=rng.choice([0.0, 2.0, 5.0]),
            concurrency=rng.choice([2, 4, 8]),
        )
        for name in names
    }
    settings = Settings(models=models, groups=random_groups(rng, names))
    waits = Waits(settings)
    durations = Durations(
        load_s=lambda _: rng.uniform(0, LONGEST_LOAD_S),
        stop_s=lambda _: rng.uniform(0, LONGEST_STOP_S),
        service_s=lambda _: rng.uniform(0, LONGEST_SERVICE_S),
    )
    world = Environment(settings, durations, rng, waits)
    flooded = rng.choice(names)
    for number in range(150):
        wanted = flooded if number % 6 else rng.choice(names)
        world.plan(number * 0.5, ev.TicketArrived(ticket=TicketId(number), model=wanted))
    world.run()
    return world, waits


@pytest.mark.parametrize("batch", range(4))
def test_service_begins_within_the_bound(batch: int) -> None:
    checked = 0
    for seed in range(batch * WORLDS // 4, (batch + 1) * WORLDS // 4):
        world, waits = bounded_world(seed)
        assert not world.outside.waiting
        checked += waits.checked
    assert checked > WORLDS


@pytest.mark.parametrize(("clients", "held"), [(1, True), (4, False), (4, True)])
def test_under_traffic_that_never_ends_a_ticket_waits_its_max_wait_a_service_and_a_swap(
    *, clients: int, held: bool
) -> None:
    """The bound where it is tight: k = 0, a visit of one service; every client asks again the moment it is served."""
    rng = Random(clients)
    max_wait_s, swap_s, service_s = 3.0, 1.5, 0.8
    a = ModelSettings(priority=5, unload_delay_s=1000.0 if held else 0.0)
    settings = Settings(models={ModelId("a"): a, ModelId("b"): ModelSettings(max_wait_s=max_wait_s)})
    durations = Durations(load_s=lambda _: 1.0, stop_s=lambda _: swap_s - 1.0, service_s=lambda _: service_s)
    world = Environment(settings, durations, rng)
    for client in range(clients):
        for again in range(40):
            arrival = ev.TicketArrived(ticket=TicketId(100 * client + again), model=ModelId("a"))
            world.plan(client * 0.2 + again * service_s, arrival)
    world.plan(2.0, ev.TicketArrived(ticket=TicketId(9999), model=ModelId("b")))
    world.run()
    waited = world.granted_at[TicketId(9999)] - 2.0
    assert max_wait_s + swap_s <= waited <= max_wait_s + service_s + swap_s


def order_in_fifo(seed: int, tickets: int) -> list[TicketId]:
    """In which order so many tickets are served, by three models that displace each other."""
    rng = Random(seed)
    names = [ModelId(name) for name in "abc"]
    models = {
        name: ModelSettings(
            priority=rng.choice([0, 3]),
            unload_delay_s=rng.choice([0.0, 9.0]),
            max_wait_s=rng.choice([0.0, 1.0]),
            concurrency=rng.choice([1, 2, 4]),
        )
        for name in names
    }
    order: list[TicketId] = []

    def watch(_event: ev.Event, _now: float, effects: list[Effect]) -> None:
        order.extend(effect.ticket for effect in effects if isinstance(effect, fx.GrantSeat))

    durations = Durations(
        load_s=lambda _: rng.uniform(0, LONGEST_LOAD_S),
        stop_s=lambda _: rng.uniform(0, LONGEST_STOP_S),
        service_s=lambda _: rng.uniform(0, LONGEST_SERVICE_S),
    )
    world = Environment(Settings(models=models, strategy=Strategy.FIFO), durations, rng, watch)
    for number in range(tickets):
        arrival = ev.TicketArrived(ticket=TicketId(number), model=rng.choice(names), priority=rng.choice([None, 7]))
        world.plan(number * 0.4, arrival)
    world.run()
    return order


@pytest.mark.parametrize("seed", range(40))
def test_fifo_never_reorders(seed: int) -> None:
    assert order_in_fifo(seed, 40) == [TicketId(number) for number in range(40)]
