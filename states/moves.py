"""The moves that rules and events make: each keeps the world's records and derived collections in step.

Nothing here decides; `Core` says when, `scheduler` says whether.
"""

from __future__ import annotations

from math import inf
from typing import Final

from . import scheduler
from .effects import ConfirmUnload, CutSeat, Effect, GrantSeat, Refusal, RefusalCode, RefuseTicket, ReportBypass
from .errors import CoreError
from .events import AskerId, Failure
from .group import Group, GroupLife, GroupState, Pressure, Signal
from .scheduler import Claim
from .settings import GroupId, ModelId
from .waiting import Ticket
from .world import Model, World

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_FAILURES_BEFORE_PAUSE: Final = 2
"""The first failure may be bad luck: whoever still waits tries once more. The second in a row starts the pauses."""


class Moves:
    """Changes of a world, and the effects that they ask for."""

    def __init__(self, world: World, life: GroupLife) -> None:
        self._world = world
        self._life = life
        self.effects: list[Effect] = []

    # Tickets

    def enqueue(self, ticket: Ticket) -> None:
        """Let a ticket wait for its model."""
        model = self._world.models[ticket.model]
        ticket.rank = ticket.rank_at(self._world.clock, self._world.settings.strategy)
        model.line.add(ticket, self._world.clock)
        self._world.waiting[model.id] = model

    def dequeue(self, ticket: Ticket) -> None:
        """Take a waiting ticket out of its line."""
        model = self._world.models[ticket.model]
        model.line.remove(ticket)
        if not len(model.line):
            del self._world.waiting[model.id]

    def seat(self, ticket: Ticket) -> None:
        """Give a waiting ticket a seat of its model; it may use it once the model is loaded."""
        self.dequeue(ticket)
        model = self._world.models[ticket.model]
        model.seated[ticket.id] = ticket
        if model.in_place and model.group.loaded:
            self._grant(ticket, model)

    def unseat(self, ticket: Ticket) -> None:
        """Give a seat back; the last one starts the hold, or lets an unload that was asked begin."""
        model = self._world.models[ticket.model]
        del model.seated[ticket.id]
        model.surplus = max(0, min(model.surplus, len(model.seated) - model.settings.concurrency))
        if model.seated or not model.in_place or not model.group.loaded:
            return
        model.group.idle_since = self._world.clock
        if model.group.closing:
            self.leave(model, Signal.UNLOAD, "unload asked, and the last request was served")

    def refuse(self, ticket: Ticket, refusal: Refusal) -> None:
        """Refuse a waiting ticket."""
        self.dequeue(ticket)
        del self._world.tickets[ticket.id]
        self.effects.append(RefuseTicket(ticket=ticket.id, refusal=refusal))

    def refuse_line(self, model: Model, refusal: Refusal) -> None:
        """Refuse everybody who waits for a model."""
        for ticket in list(model.line):
            self.refuse(ticket, refusal)

    def end_seats(self, model: Model, refusal: Refusal) -> None:
        """Take the seats of a model away from whoever has them."""
        for ticket in model.seated.values():
            del self._world.tickets[ticket.id]
            granted = ticket.granted_at is not None
            self.effects.append((CutSeat if granted else RefuseTicket)(ticket=ticket.id, refusal=refusal))
        model.seated.clear()
        model.surplus = 0

    def _grant(self, ticket: Ticket, model: Model) -> None:
        ticket.granted_at = self._world.clock
        self.effects.append(GrantSeat(ticket=ticket.id, group=model.group.id, model=model.id))

    def _put_back(self, model: Model) -> None:
        """Seats on a load that will not be: whoever has one waits again."""
        seated = list(model.seated.values())
        model.seated.clear()
        model.surplus = 0
        for ticket in seated:
            self.enqueue(ticket)

    # Models

    def commit(self, claim: Claim) -> None:
        """Rule 4: the claimant is seated, its model is resident, the victims stop."""
        world, ticket = self._world, claim.ticket
        model = world.models[ticket.model]
        for victim in claim.victims:
            self._report_bypass(ticket, victim)
        for victim in claim.victims:
            self.leave(victim, Signal.EVICTED, f"ticket {ticket.id} needs its place for {model.id}")
        self._take_group(model, frozenset(victim.group.id for victim in claim.victims))
        overdue = world.holds_count and ticket.rank.tier == 0
        deadline = ticket.rank.order
        self.seat(ticket)
        if overdue:
            model.line.boost(deadline, world.clock, world.settings.strategy)
        self._start_when_clear(model, f"ticket {ticket.id} asks for {model.id}")

    def preload(self, model: Model) -> None:
        """Rule 13: load a model that nobody has to leave for."""
        self._take_group(model, frozenset())
        self._start_when_clear(model, f"preload of {model.id}")

    def drop(self, model: Model) -> None:
        """Rules 8 and 10: take back a commit whose load has not started."""
        self._put_back(model)
        self._vacate(model)

    def leave(self, model: Model, signal: Signal, cause: str, grace_s: float | None = None) -> None:
        """Have the server of a resident model stopped; the model is not resident any more."""
        group = model.group
        self._vacate(model)
        group.since = self._world.clock
        self._tell(group, signal, cause, model.settings.unload_timeout_s if grace_s is None else grace_s)

    def unload(self, model: Model, drain_s: float, refusal: Refusal | None) -> None:
        """Rule 10: unload a model on request.

        Args:
            model: whatever it is doing.
            drain_s: seconds that seated tickets of a loaded model may take to finish.
            refusal: for its waiting tickets; None: they stay.
        """
        group = model.group
        if model.resident and group.committed:
            self.drop(model)
        elif model.in_place and group.state is GroupState.LOADING:
            self._put_back(model)
            self.leave(model, Signal.UNLOAD, "unload asked while loading")
        elif model.in_place and not model.seated:
            self.leave(model, Signal.UNLOAD, "unload asked")
        elif model.in_place and not group.closing:
            group.cut_at = self._world.clock + drain_s
        if refusal is not None:
            self.refuse_line(model, refusal)

    def cut_off(self, model: Model, refusal: Refusal) -> None:
        """Rule 10: the grace of an unload is over."""
        self.end_seats(model, refusal)
        self.leave(model, Signal.UNLOAD, "unload asked, and its grace is over")

    def press(self, group: Group, pressure: Pressure, cause: str) -> None:
        """Note what asks a resident model to leave."""
        if group.pressure is pressure:
            return
        group.pressure = pressure
        if group.loaded:
            self._tell(group, Signal.PRESSURE, cause)

    # Servers

    def ready(self, group: Group) -> None:
        """A server answers: its passengers are served."""
        world = self._world
        model = world.models[_server(group)]
        model.estimates.load.observe(world.clock - group.since)
        group.loaded_at = group.idle_since = world.clock
        self._tell(group, Signal.READY, f"{model.id} answers after {world.clock - group.since:.2f} s")
        for ticket in model.seated.values():
            self._grant(ticket, model)

    def fail(self, group: Group, failure: Failure, detail: str) -> None:
        """Rule 12: a server is of no use any more."""
        model = self._world.models[_server(group)]
        self.end_seats(model, Refusal(code=RefusalCode(failure.value), message=detail))
        # What ended has no use for a grace; what was merely too slow may have a lot to clear up.
        self.leave(model, Signal.FAILED, detail, None if failure is Failure.LOAD_TIMEOUT else 0.0)
        group.since = -inf  # not a stop to learn from
        model.failures += 1
        model.last_failure = detail
        if model.failures >= _FAILURES_BEFORE_PAUSE:
            pause = _FIRST_PAUSE_S * 2.0 ** min(model.failures - _FAILURES_BEFORE_PAUSE, 10)
            model.paused_until = self._world.clock + min(pause, _LONGEST_PAUSE_S)
            self.refuse_line(model, paused(model, self._world.clock))

    def stopped(self, group: Group) -> None:
        """Nothing is left of a server: whoever waited for its place goes on."""
        world = self._world
        gone = world.models[_server(group)]
        if group.since > -inf:
            gone.estimates.stop.observe(world.clock - group.since)
        for model in world.residents.values():
            model.group.awaiting.discard(group.id)
        group.since = world.clock
        self._tell(group, Signal.STOPPED, f"{gone.id} has stopped")
        for model in world.residents.values():
            self._start_when_clear(model, f"{gone.id} has stopped, {model.id} is next")
        for asker, models in list(world.unloads.items()):
            models.discard(gone.id)
            self.confirm(asker)

    def confirm(self, asker: AskerId) -> None:
        """Answer who asked for unloads, once nothing is left of the servers."""
        if not self._world.unloads[asker]:
            del self._world.unloads[asker]
            self.effects.append(ConfirmUnload(asker=asker))

    # What the moves above are made of

    def _take_group(self, model: Model, awaiting: frozenset[GroupId]) -> None:
        model.group.resident = model.id
        model.group.awaiting = set(awaiting)
        self._world.residents[model.id] = model

    def _start_when_clear(self, model: Model, cause: str) -> None:
        group = model.group
        if group.state is GroupState.IDLE and not group.awaiting:
            group.since = self._world.clock
            self._tell(group, Signal.START, cause)

    def _vacate(self, model: Model) -> None:
        group = model.group
        group.resident = None
        group.awaiting = set()
        group.pressure = Pressure.NONE
        group.cut_at = inf
        del self._world.residents[model.id]
        if model.line.boosted:
            model.line.boost(inf, self._world.clock, self._world.settings.strategy)

    def _report_bypass(self, ticket: Ticket, victim: Model) -> None:
        cause = scheduler.bypass(self._world, ticket, victim)
        if cause is not None and scheduler.held_until(self._world, victim) > self._world.clock:
            self.effects.append(ReportBypass(ticket=ticket.id, model=ticket.model, victim=victim.id, cause=cause))

    def _tell(self, group: Group, signal: Signal, cause: str, grace_s: float = 0.0) -> None:
        self.effects += self._life.tell(group, signal, now=self._world.clock, cause=cause, grace_s=grace_s)
        if group.state is GroupState.UNLOADING:
            self._world.stopping[group.id] = group
        else:
            self._world.stopping.pop(group.id, None)


def paused(model: Model, now: float) -> Refusal:
    """The refusal of tickets whose model is given a pause."""
    wait = model.paused_until - now
    often = f"{model.id} failed {model.failures} times in a row and is given a pause, {wait:.1f} s more"
    message = f"{often}; the last time: {model.last_failure}"
    return Refusal(code=RefusalCode.PAUSED, message=message, retry_after_s=wait)


def _server(group: Group) -> ModelId:
    if group.server is None:
        raise CoreError(f"group {group.id!r} has no server", group.story)
    return group.server
