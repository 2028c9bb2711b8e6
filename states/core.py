"""The core: events and a time go in, effects come out; nothing else changes its world.

After every event the one decision is asked until it has no more to say (`_settle`): seats first, then loads that nobody
wants any more, then the first claim without an obstacle. It is not asked where nothing that it reads has changed: where
somebody joins or leaves a line behind its head, or a seat is given back while the model's others are taken. What is due
by the time of an event is done before it, in order of time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil, inf
from typing import assert_never

from . import scheduler
from .effects import Effect, Refusal, RefusalCode, RefuseTicket, ReportPreload, StopServer
from .errors import CoreError
from .events import (
    AskerId,
    Event,
    PreloadAsked,
    ServerFailed,
    ServerReady,
    ServerStopped,
    SettingsChanged,
    ShutdownAsked,
    ShutdownHurried,
    TicketArrived,
    TicketLeft,
    TicketServed,
    TimePassed,
    UnloadAsked,
)
from .group import Group, GroupLife, GroupState, Pressure, Signal
from .moves import Moves, paused
from .reasons import sentence
from .reconfiguring import gone, reconfigure, release
from .scheduler import Claim
from .settings import GroupId, ModelId, Settings, TicketId
from .views import Snapshot, TicketView, snapshot, view_ticket
from .waiting import Rank, Ticket
from .world import Model, World


class Core:
    """Decides who is served and which model is loaded.

    The same events at the same times give the same effects: no clock is read, nothing is random.
    """

    def __init__(self, settings: Settings, life: GroupLife | None = None) -> None:
        """Start with nothing loaded and nobody waiting.

        Args:
            settings: whatever it is to know.
            life: the machine of its groups; None: one of its own.
        """
        self.world = World(settings)
        """To be read only; between two events `exploration` puts other records into it."""
        self._moves = Moves(self.world, life or GroupLife())

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event into account, and before it whatever was due by `now`.

        Args:
            event: what happened.
            now: seconds, on a clock that never goes back.

        Returns:
            What is to be done, in order.

        Raises:
            CoreError: the event cannot have happened, or the core is wrong; it is not to be used any more.
        """
        if now < self.world.clock:
            raise CoreError(f"time went back from {self.world.clock} to {now}")
        if now > self.world.clock:
            while (due := self.next_deadline()) <= now:
                if self._fall_due(due):
                    self._settle()
            self.world.clock = now
        if self._apply(event):
            self._settle()
        effects, self._moves.effects = self._moves.effects, []
        return effects

    def next_deadline(self) -> float:
        """When time alone changes something next, on the clock of `handle`; inf: never.

        Later than every time handled so far: a ticket becomes overdue, a hold with a rival, a ttl or a grace ends. The
        end of a pause is not among them: nobody waits for it, an arrival compares it with its own time.
        """
        overdue = min([model.line.next_due for model in self.world.waiting.values()], default=inf)
        return min(overdue, self._next_timer())

    def _next_timer(self) -> float:
        """When the next hold with a rival, ttl or grace ends."""
        world, next_one = self.world, inf
        for model in world.residents.values():
            next_one = min(next_one, scheduler.expires_at(model), model.group.cut_at)
            if model.group.pressure is not Pressure.NONE:
                hold = scheduler.held_until(world, model)
                if hold > world.clock:
                    next_one = min(next_one, hold)
        return next_one

    def snapshot(self, now: float) -> Snapshot:
        """Show everything as it is at `now`. What is due by then should have been handled (`TimePassed`)."""
        with self._at(now):
            return snapshot(self.world)

    def why(self, ticket: TicketId, now: float) -> TicketView | None:
        """Show one ticket; None when it is unknown, or has a seat that it can use."""
        waiting = self.world.tickets.get(ticket)
        if waiting is None or waiting.granted_at is not None:
            return None
        with self._at(now):
            return view_ticket(self.world, waiting, scheduler.claims(self.world))

    def story(self, group: GroupId) -> list[str]:
        """The last transitions of a group, oldest first, for an error message."""
        return list(self.world.groups[group].story)

    @contextmanager
    def _at(self, now: float) -> Iterator[None]:
        """A look moves the clock for itself only: what falls due by `now` is for `handle` to do."""
        clock = self.world.clock
        self.world.clock = max(clock, now)
        try:
            yield
        finally:
            self.world.clock = clock

    # What is due

    def _fall_due(self, due: float) -> bool:
        """Move the clock to what is due next, and say whether that may have changed anybody's answer."""
        world = self.world
        changed = self._next_timer() <= due
        world.clock = due
        for model in world.waiting.values():
            if model.line.next_due <= world.clock:
                changed |= model.line.mark_overdue(world.clock, world.settings.strategy)
        return changed

    # Events

    def _apply(self, event: Event) -> bool:
        """Change the records as the event says, and say whether that may have changed anybody's answer."""
        match event:
            case TicketArrived():
                return self._arrive(event)
            case TicketServed(ticket=ticket):
                return self._end(ticket, served=True)
            case TicketLeft(ticket=ticket):
                return self._end(ticket, served=False)
            case ServerReady() | ServerFailed() | ServerStopped():
                self._hear_of_server(event)
            case UnloadAsked():
                self._unload(event)
            case SettingsChanged():
                self._reconfigure(event)
            case PreloadAsked(models=models):
                self._want_loaded(models)
            case ShutdownAsked(asker=asker, drain_s=drain_s):
                self._shut_down(asker, drain_s)
            case ShutdownHurried():
                self._hurry()
            case TimePassed():
                return False  # what was due is done
            case _:
                assert_never(event)
        return True

    def _hear_of_server(self, event: ServerReady | ServerFailed | ServerStopped) -> None:
        group = self._group(event.group)
        stopping = group.state is GroupState.UNLOADING  # told to while the news was under way: it may end as it likes
        match event:
            case ServerReady():
                if not stopping:
                    self._moves.ready(group)
            case ServerFailed():
                if not stopping:
                    self._moves.fail(group, event.failure, event.detail)
            case ServerStopped():
                self._moves.stopped(group)
                if self.world.leaving:
                    release(self.world)

    def _arrive(self, event: TicketArrived) -> bool:
        world = self.world
        model = self._model(event.model)
        if event.ticket in world.tickets:
            raise CoreError(f"ticket {event.ticket} arrived twice")
        priority = model.settings.priority if event.priority is None else event.priority
        ticket = Ticket(
            id=event.ticket,
            model=model.id,
            priority=priority,
            arrived_at=world.clock,
            number=world.arrivals,
            deadline=world.deadline_of(model, world.clock),
            rank=Rank(0, 0),
            own_priority=event.priority,
        )
        world.arrivals += 1
        ticket.rank = ticket.rank_at(world.clock, world.settings.strategy)
        refusal = self._turn_away(model, ticket)
        if refusal is not None:
            self._moves.effects.append(RefuseTicket(ticket=ticket.id, refusal=refusal))
            return False
        world.tickets[ticket.id] = ticket
        self._moves.enqueue(ticket)
        # Whoever stands in line before it asks for the same, and has been answered.
        return model.line.head is ticket

    def _turn_away(self, model: Model, ticket: Ticket) -> Refusal | None:
        world = self.world
        if world.shutting_down:
            return self._unloaded(model.id)
        if model.id not in world.settings.models:
            return gone(model.id)
        if model.paused_until > world.clock:
            return paused(model, world.clock)
        if len(model.line) < model.settings.queue_limit:
            return None
        if scheduler.seatable(world, model, ticket) or scheduler.commits_at_once(world, ticket):
            return None
        wait = max(1.0, ceil(scheduler.place_free_in_s(world, model)))
        message = f"{len(model.line)} requests wait for {model.id}, as many as may; try again in about {wait:.0f} s"
        return Refusal(code=RefusalCode.QUEUE_FULL, message=message, retry_after_s=wait)

    def _end(self, ticket_id: TicketId, *, served: bool) -> bool:
        ticket = self.world.tickets.pop(ticket_id, None)
        if ticket is None:
            return False  # refused or cut off while the news was under way
        model = self.world.models[ticket.model]
        if ticket.granted_at is not None and served:
            model.failures = 0
            model.estimates.service.observe(self.world.clock - ticket.granted_at)
        elif served:
            raise CoreError(f"ticket {ticket_id} was served without a seat", model.group.story)
        if ticket.id in model.seated:
            self._moves.unseat(ticket)
            self._seat_in(model)
            return not model.seated  # while one seat is taken, the others are this model's business alone
        first = model.line.head is ticket
        self._moves.dequeue(ticket)
        return first

    def _unload(self, event: UnloadAsked) -> None:
        models = [self._model(model) for model in event.models]
        for model in models:
            drain = model.settings.unload_timeout_s
            self._moves.unload(model, drain, None if event.keep_waiting else self._unloaded(model.id))
        self.world.preloads = [model for model in self.world.preloads if model not in event.models]
        self._await_stops(event.asker, models)

    def _reconfigure(self, event: SettingsChanged) -> None:
        if self.world.shutting_down:
            self._await_stops(event.asker, [])
        else:
            self._await_stops(event.asker, reconfigure(self.world, self._moves, event))

    def _want_loaded(self, models: tuple[ModelId, ...]) -> None:
        if not self.world.shutting_down:
            wanted = [self._model(model).id for model in models]
            self.world.preloads += [model for model in dict.fromkeys(wanted) if model not in self.world.preloads]

    def _shut_down(self, asker: AskerId, drain_s: float) -> None:
        self.world.shutting_down = True
        self.world.preloads = []
        for model in self.world.models.values():
            self._moves.unload(model, drain_s, self._unloaded(model.id))
        self._await_stops(asker, list(self.world.models.values()))

    def _hurry(self) -> None:
        for model in list(self.world.residents.values()):
            if model.group.closing:
                self._moves.cut_off(model, self._unloaded(model.id))
        for group in self.world.stopping.values():
            if group.server is not None:
                self._moves.effects.append(StopServer(group=group.id, model=group.server, grace_s=0.0))

    def _await_stops(self, asker: AskerId, models: list[Model]) -> None:
        if asker in self.world.unloads:
            raise CoreError(f"asker {asker} asked twice")
        self.world.unloads[asker] = {model.id for model in models if model.group.server == model.id}
        self._moves.confirm(asker)

    # The decision

    def _settle(self) -> None:
        self._cut_off()
        while True:
            self._seat()
            if self._drop_unwanted():
                continue  # in a matrix a gate may be open that was closed while it was there
            made = scheduler.first_claims(self.world)
            claim = next((claim for claim in made if not claim.obstacles), None)
            if claim is not None:
                self._moves.commit(claim)
            elif not self._preload(made):
                self._press(made)
                if not self._expire():
                    break  # else somebody less is there: in a matrix that can change who has to leave for whom

    def _cut_off(self) -> None:
        for model in list(self.world.residents.values()):
            if model.group.cut_at <= self.world.clock:
                self._moves.cut_off(model, self._unloaded(model.id))

    def _seat(self) -> None:
        for model in self.world.residents.values():
            self._seat_in(model)

    def _seat_in(self, model: Model) -> None:
        while len(model.line) and scheduler.seatable(self.world, model, model.line.head):
            self._moves.seat(model.line.head)

    def _drop_unwanted(self) -> bool:
        """Rule 8: take back the commits that nobody is seated on any more, and say whether there was any."""
        unwanted = [model for model in self.world.residents.values() if model.group.committed and not model.seated]
        for model in unwanted:
            self._moves.drop(model)
        return bool(unwanted)

    def _preload(self, made: list[Claim]) -> bool:
        """Rule 13: start one preload if one can be made; the ones that never can are given up."""
        for wanted in list(self.world.preloads):
            model = self.world.models[wanted]
            verdict = scheduler.may_preload(self.world, model, made)
            if verdict is scheduler.Preload.WAIT:
                continue
            self.world.preloads.remove(wanted)
            if verdict is scheduler.Preload.NOW:
                self._moves.preload(model)
                return True
            if verdict is scheduler.Preload.NEVER:
                cause = "another model would have to leave for it, or it is given a pause"
                self._moves.effects.append(ReportPreload(model=model.id, cause=cause))
        return False

    def _press(self, made: list[Claim]) -> None:
        asked = scheduler.pressures(made)
        for model in self.world.residents.values():
            group = model.group
            pressure, claim = asked.get(group.id, (Pressure.NONE, None))
            if group.closing:
                self._moves.press(group, Pressure.BLOCKED, "unload asked, requests in flight may finish")
            elif claim is None:
                self._moves.press(group, Pressure.NONE, "no rival waits any more")
            elif pressure is not group.pressure:
                why = sentence(claim.obstacles[0], self.world.clock)
                self._moves.press(group, pressure, f"ticket {claim.ticket.id} for {claim.ticket.model} waits: {why}")

    def _expire(self) -> bool:
        """Rule 11: unload who was idle for long enough, and say whether there was anybody."""
        expired = [model for model in self.world.residents.values() if scheduler.expires_at(model) <= self.world.clock]
        for model in expired:
            self._moves.leave(model, Signal.EXPIRED, f"idle for its ttl of {model.settings.ttl_s:g} s")
        return bool(expired)

    # Look-ups

    def _group(self, group: GroupId) -> Group:
        try:
            return self.world.groups[group]
        except KeyError:
            raise CoreError(f"there is no group {group!r}") from None

    def _model(self, model: ModelId) -> Model:
        try:
            return self.world.models[model]
        except KeyError:
            raise CoreError(f"there is no model {model!r}") from None

    def _unloaded(self, model: ModelId) -> Refusal:
        if self.world.shutting_down:
            return Refusal(code=RefusalCode.SHUTTING_DOWN, message="the proxy is shutting down")
        return Refusal(code=RefusalCode.UNLOADED, message=f"{model} was unloaded on request")
