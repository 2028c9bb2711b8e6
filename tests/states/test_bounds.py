"""Rule 7's bound as it is worked out from settings alone, against random worlds in real numbers; and `fifo`'s."""

from __future__ import annotations

from math import inf
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from states import effects as fx
from states import events as ev
from states import scheduler
from states.bounds import Bound, services_in_a_visit, wait_behind, worst_wait
from states.contention import Contention
from states.effects import Effect
from states.settings import GroupSettings, ModelId, ModelSettings, Settings, Strategy, TicketId
from states.waiting import Line, Rank, Ticket

from .environment import Durations, Environment
from .test_hostile_world import matrices

NAMES = [ModelId(name) for name in "abcd"]
LOAD_S = dict(zip(NAMES, (1.0, 0.25, 3.0, 1.5), strict=True))
STOP_S = dict(zip(NAMES, (0.0, 2.0, 0.5, 1.0), strict=True))
SERVICE_S = 1.5
TICKETS = 120

model_settings = st.builds(
    ModelSettings,
    priority=st.integers(0, 2),
    unload_delay_s=st.sampled_from([0.0, 2.0, 1000.0]),
    min_loaded_s=st.sampled_from([0.0, 1000.0]),
    max_wait_s=st.sampled_from([0.0, 2.0, 5.0]),
    concurrency=st.integers(1, 4),
    queue_limit=st.integers(1, 6),
    ttl_s=st.sampled_from([0.0, 1000.0]),
)
group_settings = st.builds(
    GroupSettings, members=st.just(()), swap=st.booleans(), exclusive=st.booleans(), persistent=st.booleans()
)


@st.composite
def configurations(draw: st.DrawFn, strategy: Strategy = Strategy.FIFO_PLUS) -> Settings:
    """Two to four models, in groups of any kind or in sets."""
    names = NAMES[: draw(st.integers(2, 4))]
    models = {name: draw(model_settings) for name in names}
    if len(names) == len(NAMES) and draw(st.booleans()):
        return Settings(models=models, strategy=strategy, matrix=draw(matrices))
    homes = {name: draw(st.sampled_from(["g", "h", None])) for name in names}
    kinds = {home: draw(group_settings) for home in ("g", "h")}
    groups = {
        home: GroupSettings(members=members, swap=kind.swap, exclusive=kind.exclusive, persistent=kind.persistent)
        for home, kind in kinds.items()
        if (members := tuple(name for name in names if homes[name] == home))
    }
    return Settings(models=models, groups=groups, strategy=strategy)


class Waits:
    """Measures how long everybody waits, and how many were there before."""

    def __init__(self) -> None:
        self.arrived: dict[TicketId, tuple[float, ModelId]] = {}
        self.ahead: dict[TicketId, int] = {}
        self.waited: dict[TicketId, float] = {}
        self.order: list[TicketId] = []
        self.here: set[TicketId] = set()

    def __call__(self, event: ev.Event, now: float, effects: list[Effect]) -> None:
        match event:
            case ev.TicketArrived(ticket=ticket, model=model):
                self.arrived[ticket] = now, model
                self.ahead[ticket] = len(self.here)
                self.here.add(ticket)
            case ev.TicketServed(ticket=ticket) | ev.TicketLeft(ticket=ticket):
                self.here.discard(ticket)
        for effect in effects:
            match effect:
                case fx.GrantSeat(ticket=ticket):
                    self.waited[ticket] = now - self.arrived[ticket][0]
                    self.order.append(ticket)
                case fx.RefuseTicket(ticket=ticket):
                    self.here.discard(ticket)


def played(world: Settings, seed: int) -> Waits:
    """What a flood for one model, and now and then somebody for any, makes of waits; some of them go away."""
    rng, waits = Random(seed), Waits()
    durations = Durations(
        load_s=lambda model: LOAD_S[model] * rng.random(),
        stop_s=lambda model: STOP_S[model] * rng.choice([0.5, 1.0]),
        service_s=lambda _: SERVICE_S * rng.choice([0.1, 0.9, 1.0]),
    )
    environment = Environment(world, durations, rng, waits)
    names = list(world.models)
    flooded, pace = rng.sample(names, 2), rng.choice([0.2, 0.5])
    for number in range(TICKETS):
        wanted, ticket = rng.choice(flooded if number % 6 else names), TicketId(number)
        environment.plan(number * pace, ev.TicketArrived(ticket=ticket, model=wanted))
        if rng.random() < 0.05:
            environment.plan(number * pace + rng.random() * 4, ev.TicketLeft(ticket=ticket))
    environment.run()
    assert not environment.outside.waiting
    return waits


def late(world: Settings, seed: int) -> list[tuple[ModelId, float, float]]:
    """Who waited longer than the bound: model, wait and bound."""
    contention, waits = Contention(world), played(world, seed)
    bounds = {model: worst_wait(contention, model, load_s=LOAD_S, stop_s=STOP_S) for model in world.models}
    found = []
    for ticket, waited in waits.waited.items():
        bound = bounds[waits.arrived[ticket][1]]
        limit = inf if bound is None else bound.seconds(SERVICE_S)
        if waited > limit + 1e-9:
            found.append((waits.arrived[ticket][1], waited, limit))
    return found


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(configurations(), st.integers(0, 1_000_000))
def test_nobody_waits_longer_than_the_bound_that_settings_and_times_give(world: Settings, seed: int) -> None:
    assert late(world, seed) == []


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(configurations(strategy=Strategy.FIFO), st.integers(0, 1_000_000))
def test_fifo_lets_nobody_wait_for_more_than_those_who_came_before(world: Settings, seed: int) -> None:
    waits = played(world, seed)
    swap_s = max(STOP_S.values()) + max(LOAD_S.values())
    for ticket, waited in waits.waited.items():
        assert waited <= wait_behind(waits.ahead[ticket], service_s=SERVICE_S, swap_s=swap_s) + 1e-9
    assert waits.waited


# It can fail: each of these breaks the core, and the bound is then exceeded in one of a few worlds.


def never_overdue(ticket: Ticket, now: float, strategy: Strategy) -> Rank:
    return Rank(1, -ticket.priority)


def held_against_everybody(*_: object) -> None:
    return None


def alone(_line: Line, deadline: float, now: float, strategy: Strategy) -> None:
    """Nobody who waits for the same model ranks with the overdue ticket."""


def open_gate(*_: object) -> None:
    return None


FLOOD = Settings(
    models={
        NAMES[0]: ModelSettings(priority=1, unload_delay_s=1000.0, max_wait_s=0.0, concurrency=2, queue_limit=4),
        NAMES[1]: ModelSettings(max_wait_s=2.0, concurrency=2, queue_limit=4),
        NAMES[2]: ModelSettings(priority=1, max_wait_s=2.0, concurrency=1, queue_limit=4),
    }
)
TWO_FLOODS = Settings(
    models={
        NAMES[0]: ModelSettings(priority=1, max_wait_s=2.0, concurrency=4, queue_limit=12),
        NAMES[1]: ModelSettings(max_wait_s=2.0, concurrency=4, queue_limit=12),
    }
)
BREAKS = {
    "overdue is not ranked": (FLOOD, Ticket, "rank_at", never_overdue),
    "a hold stands against an overdue ticket": (FLOOD, scheduler, "bypass", held_against_everybody),
    "the gate never closes": (FLOOD, scheduler, "shut_by", open_gate),
    "a visit serves only who is overdue": (TWO_FLOODS, Line, "boost", alone),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_core_that_is_broken_exceeds_the_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world, *change = BREAKS[name]
    assert not any(late(world, seed) for seed in range(10))
    monkeypatch.setattr(*change)
    assert any(late(world, seed) for seed in range(10))


def test_fifo_that_reorders_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Settings(models=FLOOD.models, strategy=Strategy.FIFO)

    def in_order(seed: int) -> bool:
        order = played(world, seed).order
        return order == sorted(order)

    assert all(in_order(seed) for seed in range(5))
    monkeypatch.setattr(Ticket, "rank_at", never_overdue)
    assert not any(in_order(seed) for seed in range(5))


# The numbers.


def bound_of(name: str, **models: ModelSettings) -> Bound | None:
    world = Settings(models={ModelId(each): of for each, of in models.items()})
    times = dict.fromkeys(world.models, 10.0)
    return worst_wait(Contention(world), ModelId(name), load_s=times | {NAMES[0]: 60.0}, stop_s=times)


def test_the_bound_is_max_wait_and_a_visit_for_each_deadline_before_and_two_more() -> None:
    models = {name: ModelSettings(max_wait_s=300, concurrency=4, queue_limit=10) for name in "abc"}
    bound = bound_of("b", **models, d=ModelSettings(max_wait_s=0, concurrency=1, queue_limit=2))
    assert bound == Bound(wait_s=300.0, visits=4, services=4, swap_s=70.0)
    assert (bound.fixed_s, bound.all_services, bound.seconds(2.0)) == (580.0, 16, 612.0)


def test_the_longest_visit_is_a_full_line_over_the_seats_and_what_is_in_flight() -> None:
    assert services_in_a_visit([(10, 10), (7, 2), (1, 1)]) == 5


def test_without_a_max_wait_there_is_a_bound_only_for_who_goes_first_anyway() -> None:
    endless = ModelSettings(max_wait_s=0)
    assert bound_of("a", a=endless, b=endless) is None
    first = bound_of("a", a=ModelSettings(max_wait_s=0, priority=1), b=endless)
    assert first is not None
    assert (first.wait_s, first.visits) == (0.0, 2)
    assert bound_of("a", a=ModelSettings(max_wait_s=0, priority=1), b=ModelSettings(max_wait_s=9)) is None


def test_a_model_that_is_in_nobodys_way_waits_for_itself_alone() -> None:
    bound = bound_of("a", a=ModelSettings(max_wait_s=0, queue_limit=1000, concurrency=10))
    assert bound == Bound(wait_s=0.0, visits=1, services=101, swap_s=70.0)
