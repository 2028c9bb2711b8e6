"""What a journal tells: which server was there when, what became of every request, and why it all came so.

Whoever plays a journal again hands in each event with what was done about it, and the core as it is then. Times are
told in seconds since the journal begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from .clients import Fate
from .core import Core
from .effects import CutSeat, Effect, GrantSeat, RefuseTicket, ReportBypass, ReportPreload, ReportTransition
from .events import Event, TicketArrived, TicketLeft, TicketServed
from .group import LOADED, GroupState
from .reasons import Reason
from .settings import GroupId, ModelId, TicketId
from .simulation import Record, Request, Visit
from .waiting import Ticket
from .world import World


class Retelling:
    """The record of what happened, as of a simulation: for timelines and figures.

    A request that was left by its client gave up, whether it had a seat or not; one that was refused or cut off alike.
    What ended where events are missing has no fate.
    """

    def __init__(self, began_at: float) -> None:
        """Begin at that time, on the core's clock."""
        self.record = Record()
        self._began_at = began_at
        self._here: dict[GroupId, Visit] = {}
        self._tickets: dict[TicketId, Request] = {}

    def resume(self, world: World, at: float, missed: int) -> None:  # noqa: ARG002 - who waited is seen without it
        """Take what there is at the beginning, or after events that are missing: what is gone ended unseen."""
        now = at - self._began_at
        for gone in [ticket for ticket in self._tickets if ticket not in world.tickets]:
            self._tickets.pop(gone).ended_at = now
        for ticket in world.tickets.values():
            request = self._tickets.get(ticket.id) or self._take(ticket.id, ticket.model, ticket.arrived_at)
            if request.seated_at is None and ticket.granted_at is not None:
                request.seated_at = ticket.granted_at - self._began_at
        for group in world.groups.values():
            visit = self._here.get(group.id)
            if visit is not None and visit.model != group.server:
                visit.stop_at, visit.stopped_at = min(visit.stop_at, now), now
                del self._here[group.id]
            if group.server is None:
                continue
            since = max(group.since - self._began_at, 0.0)
            if group.id not in self._here:
                self._start(group.id, group.server, since)
            visit = self._here[group.id]
            if group.state in LOADED:
                visit.ready_at = min(visit.ready_at, max(group.loaded_at - self._began_at, 0.0))
            elif group.state is GroupState.UNLOADING:
                visit.stop_at = min(visit.stop_at, since)

    def note(self, core: Core, event: Event, effects: Sequence[Effect], at: float) -> None:  # noqa: ARG002
        """Take one event, and what was done about it."""
        now = at - self._began_at
        if isinstance(event, TicketArrived):
            self._take(event.ticket, event.model, at)
        for effect in effects:
            match effect:
                case ReportTransition():
                    self._move(effect, now)
                case GrantSeat(ticket=ticket):
                    self._tickets[ticket].seated_at = now
                case RefuseTicket(ticket=ticket) | CutSeat(ticket=ticket):
                    self._end(ticket, Fate.REFUSED, now)
                case _:
                    pass
        match event:
            case TicketServed(ticket=ticket):
                self._end(ticket, Fate.SERVED, now)
            case TicketLeft(ticket=ticket):
                self._end(ticket, Fate.GAVE_UP, now)
            case _:
                pass

    def finish(self, at: float) -> Record:
        """End it: whatever goes on has lasted until now. Return the record."""
        self.record.ended_at = at - self._began_at
        for request in self._tickets.values():
            request.ended_at = self.record.ended_at
        return self.record

    def _take(self, ticket: TicketId, model: ModelId, arrived_at: float) -> Request:
        request = Request(
            number=ticket,
            client="",
            model=model,
            service_s=0.0,
            arrived_at=arrived_at - self._began_at,
            answers=frozenset(),
        )
        self._tickets[ticket] = request
        self.record.requests.append(request)
        return request

    def _end(self, ticket: TicketId, fate: Fate, now: float) -> None:
        request = self._tickets.pop(ticket, None)
        if request is not None:
            request.fate, request.ended_at = fate, now

    def _start(self, group: GroupId, model: ModelId, now: float) -> None:
        self._here[group] = visit = Visit(model=model, group=group, started_at=now)
        self.record.visits.append(visit)

    def _move(self, report: ReportTransition, now: float) -> None:
        source, target = GroupState(report.source), GroupState(report.target)
        if source is GroupState.LOADING and target is not GroupState.UNLOADING:
            self._here[report.group].ready_at = now
        if source is GroupState.UNLOADING:
            self._here.pop(report.group).stopped_at = now
        if target is GroupState.UNLOADING:
            self._here[report.group].stop_at = now
        elif target is GroupState.LOADING:
            self._start(report.group, report.model, now)


class PlaceStory:
    """What happened to a process group, or to one model, and why."""

    def __init__(self, name: str, began_at: float) -> None:
        """Tell of the group or the model of that name."""
        self.lines: list[str] = []
        self._name, self._began_at = name, began_at

    def resume(self, world: World, at: float, missed: int) -> None:
        """Say what is there at the beginning, or after events that are missing."""
        if missed:
            self._tell(at, f"{missed} events are missing here")
        for group in world.groups.values():
            if group.server is not None and self._name in (group.id, group.server):
                self._tell(at, f"is {group.state.value} ({group.server})")

    def note(self, core: Core, event: Event, effects: Sequence[Effect], at: float) -> None:  # noqa: ARG002
        """Take one event, and what was done about it."""
        for effect in effects:
            match effect:
                case ReportTransition() if self._name in (effect.group, effect.model):
                    self._tell(at, f"{effect.source} -> {effect.target} ({effect.model}): {effect.cause}")
                case ReportBypass() if self._name in (effect.model, effect.victim):
                    told = f"ticket {effect.ticket} for {effect.model} does not wait for the hold of {effect.victim}"
                    self._tell(at, f"{told}: {effect.cause}")
                case ReportPreload() if self._name == effect.model:
                    self._tell(at, f"{effect.model} is not preloaded: {effect.cause}")
                case _:
                    pass

    def _tell(self, at: float, words: str) -> None:
        self.lines.append(story_line(at - self._began_at, words))


class TicketStory:
    """What became of one ticket, and what it waited for from when on."""

    def __init__(self, ticket: TicketId, began_at: float) -> None:
        """Tell of that ticket."""
        self.lines: list[str] = []
        self._ticket, self._began_at = ticket, began_at
        self._reason: Reason | None = None
        self._overdue = False

    def resume(self, world: World, at: float, missed: int) -> None:
        """Say whether it is there at the beginning, or still there after events that are missing."""
        mine = world.tickets.get(self._ticket)
        if missed and self.lines:
            self._tell(at, f"{missed} events are missing here, and it is {'gone' if mine is None else 'still there'}")
        elif mine is not None:
            self._tell(at, f"is here for {mine.model}, since {mine.arrived_at - self._began_at:.3f} s{_terms(mine)}")

    def note(self, core: Core, event: Event, effects: Sequence[Effect], at: float) -> None:
        """Take one event, what was done about it, and the core after it."""
        mine = core.world.tickets.get(self._ticket)
        if isinstance(event, TicketArrived) and event.ticket == self._ticket:
            self._tell(at, f"arrives for {event.model}{'' if mine is None else _terms(mine)}")
        self._look(core, at)
        for effect in effects:
            match effect:
                case GrantSeat(ticket=self._ticket):
                    self._tell(at, f"is served by {effect.model}")
                case RefuseTicket(ticket=self._ticket, refusal=refusal):
                    self._tell(at, f"is refused ({refusal.code.value}): {refusal.message}")
                case CutSeat(ticket=self._ticket, refusal=refusal):
                    self._tell(at, f"is cut off ({refusal.code.value}): {refusal.message}")
                case ReportBypass(ticket=self._ticket):
                    self._tell(at, f"does not wait for the hold of {effect.victim}: {effect.cause}")
                case _:
                    pass
        match event:
            case TicketServed(ticket=self._ticket):
                self._tell(at, "has its answer")
            case TicketLeft(ticket=self._ticket):
                self._tell(at, "goes: its client went away, or its answer broke off")
            case _:
                pass

    def _look(self, core: Core, at: float) -> None:
        view = core.why(self._ticket, at)
        if view is None:
            return
        if view.overdue and not self._overdue:
            self._overdue = True
            self._tell(at, "is overdue, and goes before all who are not")
        if view.reason != self._reason:
            self._reason = view.reason
            self._tell(at, f"waits: {view.why}")

    def _tell(self, at: float, words: str) -> None:
        self.lines.append(story_line(at - self._began_at, words))


def story_line(seconds: float, words: str) -> str:
    """Return a line of a story."""
    return f"{seconds:12.3f} s  {words}"


def _terms(ticket: Ticket) -> str:
    wait = ticket.deadline - ticket.arrived_at
    return f", priority {ticket.priority}" + (f", overdue in {wait:g} s" if wait < inf else "")
