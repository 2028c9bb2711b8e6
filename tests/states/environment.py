"""An environment that does what the Core says, in virtual time: servers load and stop, tickets are served.

Nothing real, nothing random but the generator handed in. It asserts what can be seen from outside, by effects alone,
and checks the invariants after every event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from random import Random

from states import effects as fx
from states import events as ev
from states import invariants
from states.core import Core
from states.effects import Effect
from states.residency import Policy, policy_of
from states.settings import GroupId, ModelId, Settings, TicketId

Watcher = Callable[[ev.Event, float, list[Effect]], None]
"""Sees every event, its time, and what was to be done."""


@dataclass(kw_only=True)
class Durations:
    """How long things take, in seconds; asked anew each time."""

    load_s: Callable[[ModelId], float]
    stop_s: Callable[[ModelId], float]
    service_s: Callable[[ModelId], float]
    fails: Callable[[ModelId], bool] = field(default=lambda _: False)
    """Whether the load that begins now will fail."""


class Outside:
    """What can be known of the proxy's work by effects alone, and what must never be seen there."""

    def __init__(self, settings: Settings) -> None:
        self.residencies: tuple[Policy, ...] = (policy_of(settings),)
        """What holds; with an event that changes it, also what held: something may have been due before it."""
        self.matrix = settings.matrix
        """None: there is none, or whoever is there was allowed to be by other settings."""
        self.servers: dict[GroupId, ModelId] = {}
        """Started and not stopped."""
        self.told_to_stop: set[GroupId] = set()
        self.loading: set[GroupId] = set()
        self.granted: dict[TicketId, ModelId] = {}
        self.waiting: dict[TicketId, ModelId] = {}
        self.preloads: set[ModelId] = set()
        self.askers: set[ev.AskerId] = set()
        self._beside: dict[ModelId, set[ModelId]] = {}
        """The servers that were being stopped when a model's server was started."""
        self._departing: TicketId | None = None
        """Whom the event is about: what was due before it may still have been done for this ticket."""
        self._gone: ModelId | None = None
        """As above: the server that has stopped, and may still have been there."""
        self.shutting_down = False

    def happened(self, event: ev.Event) -> None:
        """Take note of an event before the Core's answer to it is known."""
        match event:
            case ev.TicketArrived(ticket=ticket, model=model):
                self.waiting[ticket] = model
            case ev.TicketServed(ticket=ticket) | ev.TicketLeft(ticket=ticket):
                self._departing = ticket
            case ev.ServerReady(group=group) | ev.ServerFailed(group=group):
                self.loading.discard(group)
            case ev.ServerStopped(group=group):
                self._gone = self.servers.pop(group)
                self.told_to_stop.discard(group)
            case ev.PreloadAsked(models=models):
                self.preloads.update(models)
            case ev.UnloadAsked(asker=asker):
                self.askers.add(asker)
            case ev.SettingsChanged(asker=asker, settings=settings):
                self.askers.add(asker)
                if not self.shutting_down:
                    self.residencies = (policy_of(settings), *self.residencies)
                    self.matrix = None
                    self.preloads &= settings.models.keys()
            case ev.ShutdownAsked(asker=asker):
                self.askers.add(asker)
                self.shutting_down = True
            case _:
                pass

    def done(self, effects: list[Effect]) -> None:
        """Take note of what is to be done, and assert that it may be."""
        passengers = set(self.waiting.values())
        for effect in effects:
            match effect:
                case fx.StartServer(group=group, model=model):
                    self._starts(group, model, passengers)
                case fx.StopServer(group=group, model=model):
                    self._stops(group, model)
                case fx.GrantSeat(ticket=ticket, group=group, model=model):
                    assert self.servers.get(group) == model, "a seat of a model without a server"
                    assert group not in self.told_to_stop, "a seat of a server that is being stopped"
                    assert group not in self.loading, "a seat of a server that is not ready"
                    self.granted[ticket] = self.waiting.pop(ticket)
                case fx.RefuseTicket(ticket=ticket):
                    del self.waiting[ticket]
                case fx.CutSeat(ticket=ticket):
                    del self.granted[ticket]
                case fx.ConfirmUnload(asker=asker):
                    self.askers.remove(asker)
                case _:
                    pass
        if self._departing is not None:
            self.granted.pop(self._departing, None)
            self.waiting.pop(self._departing, None)
            self._departing = None
        self._gone = None
        self.residencies = self.residencies[:1]

    def _starts(self, group: GroupId, model: ModelId, passengers: set[ModelId]) -> None:
        assert group not in self.servers, "two servers in one process group"
        assert not self.shutting_down, "a load during the shutdown"
        assert model in passengers or model in self.preloads, "a load without a passenger"
        knowing = [policy for policy in self.residencies if model in policy.group_of]
        displaced = frozenset.intersection(*(policy.displaced_by(model) for policy in knowing))
        for there in displaced & set(self.servers.values()):
            # It joined after the commit that made them stop, and displaces nobody.
            assert self._beside[there] & displaced, "a load beside a server that it displaces"
        staying = {there for at, there in self.servers.items() if at not in self.told_to_stop}
        assert self.matrix is None or self.matrix.allows({*staying, model}), "a load that no set allows"
        self._beside[model] = {self.servers[stopping] for stopping in self.told_to_stop}
        if self._gone is not None:
            self._beside[model].add(self._gone)
        self.servers[group] = model
        self.loading.add(group)
        self.preloads.discard(model)

    def _stops(self, group: GroupId, model: ModelId) -> None:
        assert self.servers[group] == model
        served = {ticket for ticket, of in self.granted.items() if of == model}
        assert served <= {self._departing}, "a stop while a seat is taken"
        self.told_to_stop.add(group)
        self.loading.discard(group)


class Environment:
    """Plays events in order of time until nothing is left to happen."""

    def __init__(self, settings: Settings, durations: Durations, rng: Random, *watchers: Watcher) -> None:
        self.core = Core(settings)
        self.outside = Outside(settings)
        self.now = 0.0
        self.oversleeps = 0.0
        """How often nobody tells the core in time that something is due; the next event does."""
        self.loads: list[ModelId] = []
        self.granted_at: dict[TicketId, float] = {}
        self._durations, self._rng, self._watchers = durations, rng, watchers
        self._agenda: list[tuple[float, float, int, ev.Event]] = []
        self._entries = 0
        self._lives: dict[GroupId, int] = {}
        """Of each group's server: the entry of the agenda that is still to happen to it."""
        self._stopping: set[GroupId] = set()

    def plan(self, time: float, event: ev.Event) -> int:
        """Let an event happen; events of one instant happen in random order."""
        self._entries += 1
        heappush(self._agenda, (time, self._rng.random(), self._entries, event))
        return self._entries

    def run(self, until: float = inf) -> None:
        """Play until then, or until neither the agenda nor the core has anything more to say."""
        while (time := min(self.next_event, self.core.next_deadline())) < inf and time <= until:
            awake = self.next_event == inf or self._rng.random() >= self.oversleeps
            if awake and self.core.next_deadline() < self.next_event:
                self.now = time
                self.feed(ev.TimePassed())
            else:
                self.now = self.next_event
                _, _, entry, event = heappop(self._agenda)
                if self._still_happens(event, entry):
                    self.feed(event)

    @property
    def next_event(self) -> float:
        return self._agenda[0][0] if self._agenda else inf

    def feed(self, event: ev.Event) -> None:
        """Let the core know, and do what it says."""
        if isinstance(event, ev.ServerStopped):
            self._stopping.discard(event.group)
        self.outside.happened(event)
        effects = self.core.handle(event, self.now)
        invariants.check(self.core)
        for watcher in self._watchers:
            watcher(event, self.now, effects)
        self.outside.done(effects)
        for effect in effects:
            self._do(effect)

    def _still_happens(self, event: ev.Event, entry: int) -> bool:
        match event:
            case ev.TicketServed(ticket=ticket):
                return ticket in self.outside.granted
            case ev.TicketLeft(ticket=ticket):
                return ticket in self.outside.granted or ticket in self.outside.waiting
            case ev.ServerReady(group=group) | ev.ServerFailed(group=group) | ev.ServerStopped(group=group):
                return entry == self._lives[group]
            case _:
                return True

    def _do(self, effect: Effect) -> None:
        match effect:
            case fx.StartServer(group=group, model=model):
                self.loads.append(model)
                end: ev.Event = ev.ServerReady(group=group)
                if self._durations.fails(model):
                    end = ev.ServerFailed(group=group, failure=ev.Failure.LOAD_FAILED, detail="it failed")
                self._lives[group] = self.plan(self.now + self._durations.load_s(model), end)
            case fx.StopServer(group=group):
                self._end_server(group)
            case fx.GrantSeat(ticket=ticket, model=model):
                self.granted_at[ticket] = self.now
                self.plan(self.now + self._durations.service_s(model), ev.TicketServed(ticket=ticket))
            case _:
                pass

    def _end_server(self, group: GroupId) -> None:
        """What was to happen to the server does not; it stops, once."""
        if group not in self._stopping:
            self._stopping.add(group)
            stop_s = self._durations.stop_s(self.outside.servers[group])
            self._lives[group] = self.plan(self.now + stop_s, ev.ServerStopped(group=group))
