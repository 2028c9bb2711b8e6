"""A hostile world: anything that can happen, in any order, at any time; then a fair one, which must serve everybody.

The invariants are checked after every event, and `Outside` asserts what can be seen by effects alone: never two
servers in one process group, no load beside a server that it displaces, no stop while a seat is taken, no load without
a passenger.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from states import effects as fx
from states import events as ev
from states import invariants
from states.core import Core
from states.group import GroupState
from states.matrix import Matrix, read_sets
from states.settings import GroupId, GroupSettings, ModelId, ModelSettings, Settings, Strategy, TicketId

from .environment import Outside

NAMES = [ModelId(name) for name in "abcd"]

model_settings = st.builds(
    ModelSettings,
    priority=st.integers(0, 2),
    unload_delay_s=st.sampled_from([0.0, 0.0, 1.0, 3.0]),
    min_loaded_s=st.sampled_from([0.0, 0.0, 2.0]),
    max_wait_s=st.sampled_from([0.0, 2.0, 5.0]),
    concurrency=st.integers(1, 3),
    queue_limit=st.sampled_from([1, 2, 5, 100]),
    ttl_s=st.sampled_from([0.0, 0.0, 4.0]),
    unload_timeout_s=st.sampled_from([0.0, 1.0, 3.0]),
)


@st.composite
def groups(draw: st.DrawFn) -> dict[str, GroupSettings]:
    """Every model in one of three configured groups, or in none."""
    homes = {name: draw(st.sampled_from(["g", "h", "k", None])) for name in NAMES}
    return {
        home: GroupSettings(
            members=members, swap=draw(st.booleans()), exclusive=draw(st.booleans()), persistent=draw(st.booleans())
        )
        for home in ("g", "h", "k")
        if (members := tuple(name for name in NAMES if homes[name] == home))
    }


unions = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True).map(" & ".join)
matrices = st.builds(
    lambda texts, costs: Matrix(sets=read_sets({f"s{n}": text for n, text in enumerate(texts)}, ModelId), costs=costs),
    st.lists(st.lists(unions, min_size=1, max_size=3).map(" | ".join), min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3)),
)
models = st.fixed_dictionaries(dict.fromkeys(NAMES, model_settings))
worlds = st.builds(Settings, models=models, groups=groups(), strategy=st.sampled_from(Strategy)) | st.builds(
    Settings, models=models, matrix=matrices, strategy=st.sampled_from(Strategy)
)
some_models = st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(tuple)


class HostileWorld(RuleBasedStateMachine):
    """Clients, servers and operators who do what they like."""

    @initialize(world=worlds)
    def begin(self, world: Settings) -> None:
        self.core = Core(world)
        self.outside = Outside(world)
        self.now = 0.0
        self.number = 0
        self.loads = 0
        self.long_gone: list[TicketId] = []
        self.there = set(NAMES)

    # Clients

    @rule(model=st.sampled_from(NAMES), priority=st.sampled_from([None, None, None, 0, 3]), crowd=st.integers(1, 3))
    def arrive(self, model: ModelId, priority: int | None, crowd: int) -> None:
        if model not in self.there:
            return
        for _ in range(crowd):
            self._feed(ev.TicketArrived(ticket=TicketId(self._next()), model=model, priority=priority))

    @precondition(lambda self: self.outside.granted)
    @rule(data=st.data())
    def get_served(self, data: st.DataObject) -> None:
        self._feed(ev.TicketServed(ticket=data.draw(st.sampled_from(sorted(self.outside.granted)))))

    @precondition(lambda self: self.outside.granted or self.outside.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        here = sorted({*self.outside.granted, *self.outside.waiting})
        self._feed(ev.TicketLeft(ticket=data.draw(st.sampled_from(here))))

    @precondition(lambda self: self.long_gone)
    @rule(data=st.data(), served=st.booleans())
    def be_late(self, *, data: st.DataObject, served: bool) -> None:
        """News of somebody who was refused or cut off."""
        ticket = data.draw(st.sampled_from(self.long_gone))
        self._feed(ev.TicketServed(ticket=ticket) if served else ev.TicketLeft(ticket=ticket))

    # Servers

    @precondition(lambda self: self.outside.loading)
    @rule(data=st.data())
    def become_ready(self, data: st.DataObject) -> None:
        self._feed(ev.ServerReady(group=data.draw(st.sampled_from(sorted(self.outside.loading)))))

    @precondition(lambda self: self.outside.servers)
    @rule(data=st.data(), slow=st.booleans())
    def fail(self, *, data: st.DataObject, slow: bool) -> None:
        """While it loads, serves or stops."""
        group = data.draw(st.sampled_from(sorted(self.outside.servers)))
        loading = ev.Failure.LOAD_TIMEOUT if slow else ev.Failure.LOAD_FAILED
        failure = loading if group in self.outside.loading else ev.Failure.DIED
        self._feed(ev.ServerFailed(group=group, failure=failure, detail="it broke"))

    @precondition(lambda self: self.outside.told_to_stop)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        self._feed(ev.ServerStopped(group=data.draw(st.sampled_from(sorted(self.outside.told_to_stop)))))

    @precondition(lambda self: self.outside.told_to_stop)
    @rule(data=st.data())
    def be_ready_too_late(self, data: st.DataObject) -> None:
        """The news and the order to stop cross each other."""
        self._feed(ev.ServerReady(group=data.draw(st.sampled_from(sorted(self.outside.told_to_stop)))))

    # Operators

    @rule(models=some_models, keep=st.booleans())
    def ask_to_unload(self, *, models: tuple[ModelId, ...], keep: bool) -> None:
        there = tuple(model for model in models if model in self.there)
        self._feed(ev.UnloadAsked(asker=ev.AskerId(self._next()), models=there, keep_waiting=keep))

    @rule(models=some_models)
    def ask_to_preload(self, models: tuple[ModelId, ...]) -> None:
        self._feed(ev.PreloadAsked(models=tuple(model for model in models if model in self.there)))

    @rule(world=worlds, left=some_models, restart=some_models)
    def change_the_settings(self, world: Settings, left: tuple[ModelId, ...], restart: tuple[ModelId, ...]) -> None:
        """Some models are still there, others are gone or come back, and anything about them may be different."""
        groups = {
            name: replace(group, members=members)
            for name, group in world.groups.items()
            if (members := tuple(model for model in group.members if model in left))
        }
        settings = replace(world, models={model: world.models[model] for model in left}, groups=groups)
        self._feed(
            ev.SettingsChanged(
                asker=ev.AskerId(self._next()), settings=settings, restart=frozenset(restart) & set(left)
            )
        )
        self.there = set(left) if not self.outside.shutting_down else self.there

    @precondition(lambda self: self.number > 25)
    @rule(drain_s=st.sampled_from([0.0, 1.0, 10.0]))
    def shut_down(self, drain_s: float) -> None:
        self._feed(ev.ShutdownAsked(asker=ev.AskerId(self._next()), drain_s=drain_s))

    @precondition(lambda self: self.outside.shutting_down)
    @rule()
    def hurry(self) -> None:
        self._feed(ev.ShutdownHurried())
        assert not self.outside.granted

    # Time

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.5]), told=st.booleans())
    def pass_time(self, *, seconds: float, told: bool) -> None:
        """Sometimes nobody looks at the clock, and the next event finds several things due."""
        self.now += seconds
        if told:
            self._feed(ev.TimePassed())

    @precondition(lambda self: self.core.next_deadline() < inf)
    @rule(told=st.booleans())
    def reach_the_deadline(self, *, told: bool) -> None:
        """On its very instant, alone or together with the next event."""
        self.now = max(self.now, self.core.next_deadline())
        if told:
            self._feed(ev.TimePassed())

    # The end

    def teardown(self) -> None:
        """A fair environment from here on: everybody is served or refused, every asker answered, in bounded work."""
        if not hasattr(self, "core"):
            return
        before, crowd = self.loads, len(self.outside.waiting) + len(self.outside.preloads)
        bound = 20 + 12 * (crowd + len(self.outside.granted) + len(NAMES))
        for _ in range(bound):
            if not self._fair_step():
                break
        assert not self.outside.waiting, f"deadlock or livelock: {self.core.snapshot(self.now)}"
        assert not self.outside.granted
        assert not self.outside.askers, "an asker was never answered"
        assert self.loads - before <= crowd, "more loads than there were tickets to serve"
        assert {group.state for group in self.core.world.groups.values()} <= {GroupState.IDLE, GroupState.ACTIVE}

    def _fair_step(self) -> bool:
        event = self._next_fair_event()
        if event is None:
            return False
        if isinstance(event, ev.TimePassed):
            self.now = max(self.now, self.core.next_deadline())
        self._feed(event)
        return True

    def _next_fair_event(self) -> ev.Event | None:
        outside = self.outside
        if outside.granted:
            return ev.TicketServed(ticket=min(outside.granted))
        if outside.told_to_stop:
            return ev.ServerStopped(group=min(outside.told_to_stop))
        if outside.loading:
            return ev.ServerReady(group=min(outside.loading))
        return ev.TimePassed() if self.core.next_deadline() < inf else None

    # What they have in common

    def _feed(self, event: ev.Event) -> None:
        self.outside.happened(event)
        effects = self.core.handle(event, self.now)
        invariants.check(self.core)
        self._look_at(effects)
        self.outside.done(effects)

    def _look_at(self, effects: list[fx.Effect]) -> None:
        self.loads += sum(isinstance(effect, fx.StartServer) for effect in effects)
        self.long_gone += [effect.ticket for effect in effects if isinstance(effect, fx.RefuseTicket | fx.CutSeat)]
        told: list[GroupId] = [effect.group for effect in effects if isinstance(effect, fx.StartServer)]
        assert len(told) == len(set(told)), "one group was told to start twice"

    def _next(self) -> int:
        self.number += 1
        return self.number


TestHostileWorld = HostileWorld.TestCase
TestHostileWorld.settings = settings(
    max_examples=250,
    stateful_step_count=40,
    # The same result a hundred times; a longer look is a matter of these numbers.
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
