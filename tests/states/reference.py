"""A second, independent and deliberately naive scheduler, written from the contract (docs: scheduling) alone.

Flat lists, O(n²), no machine, no index, nothing remembered that can be computed: every rule is asked again from the
start until none of them has anything to say. It knows models only (a process group is a set of models that cannot be
together), and gives back what is to be done as short tuples, which `test_against_reference.py` compares with the
Core's effects. Nothing here is shared with the Core but the settings and the events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import assert_never

from states import events
from states.settings import DEFAULT_GROUP, GroupSettings, ModelId, ModelSettings, Settings, Strategy, TicketId

Deed = tuple[str, object] | tuple[str, object, str]
"""("start" | "stop", model), ("grant", ticket), ("refuse" | "cut", ticket, code), ("confirm", asker)."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


class Phase(Enum):
    """Where a model is."""

    ABSENT = "absent"
    COMMITTED = "committed"
    LOADING = "loading"
    LOADED = "loaded"
    UNLOADING = "unloading"


RESIDENT = {Phase.COMMITTED, Phase.LOADING, Phase.LOADED}


@dataclass(eq=False, kw_only=True)
class Ticket:
    """One request. `visit` is the deadline of the overdue claimant whose visit serves this one too."""

    number: TicketId
    model: ModelId
    priority: int
    arrival: int
    deadline: float
    visit: float = inf


@dataclass(kw_only=True)
class Model:
    """What is known about one model. `gate_closed_until` is the end of an unload's grace, where one was asked."""

    settings: ModelSettings
    phase: Phase = Phase.ABSENT
    loaded_at: float = 0.0
    given_back_at: float = -inf
    seated: list[Ticket] = field(default_factory=list)
    awaited: set[ModelId] = field(default_factory=set)
    grace_ends: float | None = None
    failures: int = 0
    paused_until: float = -inf

    @property
    def idle_since(self) -> float:
        """The later of loaded at and last seat given back."""
        return max(self.loaded_at, self.given_back_at)

    @property
    def hold_ends(self) -> float:
        """Only of a model that is loaded and has no seat taken."""
        return max(self.idle_since + self.settings.unload_delay_s, self.loaded_at + self.settings.min_loaded_s)

    @property
    def ttl_ends(self) -> float:
        """As above."""
        if not self.settings.ttl_s:
            return inf
        return max(self.idle_since + self.settings.ttl_s, self.loaded_at + self.settings.min_loaded_s)


class Reference:
    """The contract, sentence by sentence."""

    def __init__(self, settings: Settings) -> None:
        self.plus = settings.strategy is Strategy.FIFO_PLUS
        self.groups = settings.groups
        self.models = {name: Model(settings=of) for name, of in settings.models.items()}
        self.waiting: list[Ticket] = []
        self.preloads: list[ModelId] = []
        self.askers: dict[events.AskerId, set[ModelId]] = {}
        self.arrivals = 0
        self.now = -inf
        self.deeds: list[Deed] = []

    # Words.

    def configured(self, model: ModelId) -> tuple[str, GroupSettings]:
        """The configured group of a model."""
        for name, group in self.groups.items():
            if model in group.members:
                return name, group
        return DEFAULT_GROUP, GroupSettings(members=())

    def process_group(self, model: ModelId) -> object:
        """What holds at most one model."""
        name, group = self.configured(model)
        return ("group", name) if group.swap else ("model", model)

    def displaces(self, wanted: ModelId, there: ModelId) -> bool:
        """Whether `wanted` cannot load while `there` is there."""
        (name, group), (other_name, other) = self.configured(wanted), self.configured(there)
        if wanted == there:
            return False
        if name == other_name:
            return group.swap
        return group.exclusive and not other.persistent

    def resident(self, model: ModelId) -> bool:
        return self.models[model].phase in RESIDENT

    def rivals(self, model: ModelId) -> list[Ticket]:
        return [t for t in self.waiting if not self.resident(t.model) and self.displaces(t.model, model)]

    def overdue(self, ticket: Ticket) -> bool:
        return self.plus and min(ticket.deadline, ticket.visit) <= self.now

    # Rank.

    def rank(self, ticket: Ticket) -> tuple[float, ...]:
        """Smaller is better; equal: neither outranks."""
        if not self.plus:
            return (ticket.arrival,)
        if self.overdue(ticket):
            return (0, min(ticket.deadline, ticket.visit))
        return (1, -ticket.priority)

    def outranks(self, one: Ticket, other: Ticket) -> bool:
        return one.model != other.model and self.rank(one) < self.rank(other)

    def in_line(self) -> list[Ticket]:
        return sorted(self.waiting, key=lambda t: (self.rank(t), t.arrival))

    # Rules 1, 3, 4, 5, 8, 10, 11 and 13, asked until none applies.

    def settle(self) -> None:
        while (
            self.unload_one() or self.seat_one() or self.drop_one() or self.commit_one() or self.preload_one()
        ) or self.expire_one():
            pass

    def seat_one(self) -> bool:
        """Rule 1."""
        for ticket in self.in_line():
            model = self.models[ticket.model]
            if (
                self.resident(ticket.model)
                and model.grace_ends is None
                and len(model.seated) < model.settings.concurrency
                and not any(self.outranks(rival, ticket) for rival in self.rivals(ticket.model))
            ):
                self.take_seat(ticket)
                return True
        return False

    def take_seat(self, ticket: Ticket) -> None:
        self.waiting.remove(ticket)
        model = self.models[ticket.model]
        model.seated.append(ticket)
        if model.phase is Phase.LOADED:
            self.deeds.append(("grant", ticket.number))

    def drop_one(self) -> bool:
        """Rule 8: asked after rule 1, so that nobody who waits may take a seat."""
        for name, model in self.models.items():
            if model.phase is Phase.COMMITTED and not model.seated:
                self.leave(name, Phase.ABSENT)
                return True
        return False

    def claimants(self) -> list[Ticket]:
        """Rule 3: the first of each model that is not resident, in queue order."""
        first: dict[ModelId, Ticket] = {}
        for ticket in self.in_line():
            if not self.resident(ticket.model):
                first.setdefault(ticket.model, ticket)
        return list(first.values())

    def victims(self, model: ModelId) -> list[ModelId]:
        return [name for name in self.models if self.resident(name) and self.displaces(model, name)]

    def taken_by(self, claim: Ticket) -> set[object]:
        return {self.process_group(name) for name in [claim.model, *self.victims(claim.model)]}

    def waits_for_another(self, claim: Ticket) -> bool:
        rivals = self.rivals(claim.model)
        return any(
            self.outranks(other, claim) and (other in rivals or self.taken_by(other) & self.taken_by(claim))
            for other in self.claimants()
        )

    def stopping_in_the_way(self, model: ModelId) -> bool:
        return any(
            other.phase is Phase.UNLOADING and (name == model or self.displaces(model, name))
            for name, other in self.models.items()
        )

    def held_against(self, victim: ModelId, claim: Ticket) -> bool:
        """Rule 5."""
        model = self.models[victim]
        if not self.plus or model.phase is not Phase.LOADED or model.grace_ends is not None:
            return False
        bypasses = self.overdue(claim) or claim.priority > model.settings.priority
        return self.now < model.hold_ends and not bypasses

    def commit_one(self) -> bool:
        """Rule 4."""
        for claim in self.claimants():
            victims = self.victims(claim.model)
            if (
                not self.waits_for_another(claim)
                and not self.stopping_in_the_way(claim.model)
                and not any(self.models[v].seated or self.held_against(v, claim) for v in victims)
            ):
                self.commit(claim, victims)
                return True
        return False

    def commit(self, claim: Ticket, victims: list[ModelId]) -> None:
        visit = min(claim.deadline, claim.visit)
        if self.overdue(claim):
            for ticket in self.waiting:
                if ticket.model == claim.model:
                    ticket.visit = visit
        self.models[claim.model].phase = Phase.COMMITTED
        self.take_seat(claim)
        self.load_after(claim.model, victims)

    def load_after(self, model: ModelId, victims: list[ModelId]) -> None:
        for victim in victims:
            self.stop(victim)
        self.models[model].awaited = {v for v in victims if self.models[v].phase is Phase.UNLOADING}
        self.start_what_can()

    def stop(self, model: ModelId) -> None:
        """A server that is there is told to stop; a load that has none is dropped."""
        if self.models[model].phase is Phase.COMMITTED:
            self.leave(model, Phase.ABSENT)
        else:
            self.leave(model, Phase.UNLOADING)
            self.deeds.append(("stop", model))

    def leave(self, name: ModelId, phase: Phase) -> None:
        """The model is no longer resident."""
        model = self.models[name]
        model.phase, model.grace_ends, model.awaited = phase, None, set()
        model.loaded_at, model.given_back_at = 0.0, -inf
        for ticket in self.waiting:
            if ticket.model == name:
                ticket.visit = inf

    def start_what_can(self) -> None:
        for name, model in self.models.items():
            if model.phase is Phase.COMMITTED and not model.awaited:
                model.phase = Phase.LOADING
                self.deeds.append(("start", name))

    def unload_one(self) -> bool:
        """Rule 10. An unload that was asked goes before a claim, as it does where a hold is all that is in the way."""
        for name, model in self.models.items():
            if model.phase is Phase.LOADED and not model.seated and model.grace_ends is not None:
                self.stop(name)
                return True
        return False

    def expire_one(self) -> bool:
        """Rule 11."""
        for name, model in self.models.items():
            idle = model.phase is Phase.LOADED and not model.seated
            if idle and model.ttl_ends <= self.now and not self.rivals(name):
                self.stop(name)
                return True
        return False

    def preload_one(self) -> bool:
        """Rule 13: behind every ticket, and only where nobody must leave; given up where somebody must."""
        for name in self.preloads:
            if self.resident(name) or self.victims(name) or self.now < self.models[name].paused_until:
                self.preloads.remove(name)
                return True
            if not self.stopping_in_the_way(name) and not any(self.in_conflict(name, c) for c in self.claimants()):
                self.preloads.remove(name)
                self.models[name].phase = Phase.COMMITTED
                self.start_what_can()
                return True
        return False

    def in_conflict(self, name: ModelId, claim: Ticket) -> bool:
        """Rule 3, for a claim without a ticket: everybody outranks it, and it waits for rivals and shared groups."""
        return self.displaces(claim.model, name) or self.process_group(name) in self.taken_by(claim)

    # Time.

    def due(self) -> list[float]:
        """Every time at which an answer can change. Some of these change none."""
        times = [t.deadline for t in self.waiting]
        for model in self.models.values():
            if model.phase is Phase.LOADED:
                times += [model.hold_ends, model.ttl_ends]
            if model.grace_ends is not None:
                times.append(model.grace_ends)
        return [time for time in times if self.now < time < inf]

    def advance(self, now: float) -> None:
        """What is due by `now` is done first, in order of time."""
        while times := [time for time in self.due() if time <= now]:
            self.now = min(times)
            self.cut_off_where_grace_is_over()
            self.settle()
        self.now = now

    def cut_off_where_grace_is_over(self) -> None:
        for name, model in self.models.items():
            if model.grace_ends is not None and model.grace_ends <= self.now:
                self.cut_off(name, "unloaded")
                self.stop(name)

    def cut_off(self, name: ModelId, code: str) -> None:
        self.deeds += [("cut", ticket.number, code) for ticket in self.models[name].seated]
        self.models[name].seated = []

    def next_deadline(self) -> float:
        """The contract's list, word by word."""
        times: list[float] = []
        if self.plus:
            times += [t.deadline for t in self.waiting]
        for name, model in self.models.items():
            if model.phase is Phase.LOADED:
                if model.grace_ends is not None:
                    times.append(model.grace_ends)
                elif not model.seated:
                    if not self.rivals(name):
                        times.append(model.ttl_ends)
                    elif self.plus:
                        times.append(model.hold_ends)
        return min((time for time in times if time > self.now), default=inf)

    # Events.

    def handle(self, event: events.Event, now: float) -> list[Deed]:
        self.deeds = []
        self.advance(now)
        self.happen(event)
        self.settle()
        self.answer_askers()
        return self.deeds

    def happen(self, event: events.Event) -> None:
        match event:
            case events.TicketArrived():
                self.arrive(event)
            case events.TicketServed(ticket=number):
                self.give_back(number, served=True)
            case events.TicketLeft(ticket=number):
                self.waiting = [t for t in self.waiting if t.number != number]
                self.give_back(number, served=False)
            case events.UnloadAsked():
                self.preloads = [name for name in self.preloads if name not in event.models]
                for name in event.models:
                    self.unload(name, "unloaded", keep=event.keep_waiting)
                self.askers[event.asker] = {
                    name
                    for name in event.models
                    if self.models[name].phase is Phase.UNLOADING or self.models[name].grace_ends is not None
                }
            case events.PreloadAsked():
                self.preloads += [name for name in event.models if name not in self.preloads]
            case events.ShutdownAsked() | events.ShutdownHurried():
                raise NotImplementedError("the end of the proxy has facts of its own")
            case events.ServerReady() | events.ServerFailed() | events.ServerStopped():
                raise TypeError("by model, not by group: ready, failed, stopped")
            case events.TimePassed():
                pass
            case _:
                assert_never(event)

    def arrive(self, event: events.TicketArrived) -> None:
        model = self.models[event.model]
        settings = model.settings
        self.arrivals += 1
        if self.now < model.paused_until:
            self.deeds.append(("refuse", event.ticket, "paused"))
            return
        queued = sum(t.model == event.model for t in self.waiting)
        ticket = Ticket(
            number=event.ticket,
            model=event.model,
            priority=settings.priority if event.priority is None else event.priority,
            arrival=self.arrivals,
            deadline=self.now + settings.max_wait_s if settings.max_wait_s else inf,
        )
        self.waiting.append(ticket)
        self.settle()
        if ticket in self.waiting and queued >= settings.queue_limit:
            self.waiting.remove(ticket)
            self.deeds.append(("refuse", ticket.number, "queue_full"))

    def give_back(self, number: TicketId, *, served: bool) -> None:
        for model in self.models.values():
            if any(t.number == number for t in model.seated):
                model.seated = [t for t in model.seated if t.number != number]
                model.given_back_at = self.now
                if served:
                    model.failures = 0

    def unload(self, name: ModelId, code: str, *, keep: bool) -> None:
        """Rule 10."""
        model = self.models[name]
        if model.phase in {Phase.COMMITTED, Phase.LOADING}:
            self.waiting = sorted([*self.waiting, *model.seated], key=lambda t: t.arrival)
            model.seated = []
            self.stop(name)
        elif model.phase is Phase.LOADED and model.grace_ends is None:
            model.grace_ends = self.now + model.settings.unload_timeout_s
        if not keep:
            self.refuse_waiting(name, code)
        self.cut_off_where_grace_is_over()
        self.unload_one()

    def refuse_waiting(self, name: ModelId, code: str) -> None:
        self.deeds += [("refuse", t.number, code) for t in self.waiting if t.model == name]
        self.waiting = [t for t in self.waiting if t.model != name]

    def answer_askers(self) -> None:
        for asker, names in list(self.askers.items()):
            if not names:
                del self.askers[asker]
                self.deeds.append(("confirm", asker))

    # What servers do, by model.

    def ready(self, name: ModelId, now: float) -> list[Deed]:
        self.deeds = []
        self.advance(now)
        model = self.models[name]
        if model.phase is Phase.LOADING:
            model.phase, model.loaded_at = Phase.LOADED, self.now
            self.deeds += [("grant", ticket.number) for ticket in model.seated]
        self.settle()
        return self.deeds

    def failed(self, name: ModelId, code: str, now: float) -> list[Deed]:
        """Rule 12: the server is of no use; what is left of it is still being cleared."""
        self.deeds = []
        self.advance(now)
        model = self.models[name]
        if model.phase in {Phase.LOADING, Phase.LOADED}:
            if model.phase is Phase.LOADED:
                self.cut_off(name, code)
            else:
                self.deeds += [("refuse", ticket.number, code) for ticket in model.seated]
                model.seated = []
            self.stop(name)
            model.failures += 1
            if model.failures > 1:
                model.paused_until = self.now + min(FIRST_PAUSE_S * 2 ** (model.failures - 2), LONGEST_PAUSE_S)
                self.refuse_waiting(name, "paused")
        self.settle()
        return self.deeds

    def stopped(self, name: ModelId, now: float) -> list[Deed]:
        self.deeds = []
        self.advance(now)
        self.models[name].phase = Phase.ABSENT
        for model in self.models.values():
            model.awaited.discard(name)
        for names in self.askers.values():
            names.discard(name)
        self.start_what_can()
        self.settle()
        self.answer_askers()
        return self.deeds
