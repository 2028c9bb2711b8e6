"""The only module that touches the core: feeds it events, carries out its effects, wakes it at its next deadline.

There is no await between an event and its effects, so nobody ever sees a decision half done, and no lock is needed.
Effects only set events and move scopes and deadlines; whoever waits for those runs after everything was carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Final, Protocol, assert_never

import trio

from states import invariants
from states.checkpoint import Checkpoint, checkpoint
from states.core import Core
from states.effects import (
    ConfirmUnload,
    CutSeat,
    Effect,
    GrantSeat,
    Refusal,
    RefuseTicket,
    ReportBypass,
    ReportPreload,
    ReportTransition,
    StartServer,
    StopServer,
)
from states.errors import CoreError
from states.events import (
    AskerId,
    Event,
    PreloadAsked,
    SettingsChanged,
    ShutdownAsked,
    ShutdownHurried,
    TicketArrived,
    TicketLeft,
    TicketServed,
    TimePassed,
    UnloadAsked,
)
from states.group import GroupState
from states.settings import GroupId, ModelId, Settings, TicketId
from states.views import Snapshot

from .groups import GroupShell, Run
from .history import History

_LOG: Final = logging.getLogger("trio_swap.scheduling")
_LONG_WAIT_S: Final = 1.0
"""Who waits longer is told of in the log, with the reason."""


class Refused(Exception):  # noqa: N818 - an answer, not a mistake
    """The core will not serve a ticket."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Place:
    """One client request's place: in line first, then on a seat."""

    def __init__(self, ticket: TicketId, model: ModelId) -> None:
        self.ticket: Final = ticket
        self.model: Final = model
        self.scope: Final = trio.CancelScope()
        """The seat: a cut-off cancels it, and `refusal` says why."""
        self.run: Run | None = None
        """The server to be asked, once a seat was granted."""
        self.refusal: Refusal | None = None
        self.settled: Final = trio.Event()
        """A seat was granted, or the ticket refused."""
        self.served = False
        """To be set when the answer is complete: the seat is then given back as served."""


class Journal(Protocol):
    """Takes down what the core is told and what it says. Never waits, never raises."""

    def begin(self, look: Callable[[], Checkpoint], now: float) -> None:
        """Take down what there is before the first event; `look` shows it between any two events."""

    def note(self, event: Event, effects: Sequence[Effect], now: float) -> None:
        """Take down an event, and what was to be done."""

    def note_collapse(self, event: Event, error: CoreError, now: float) -> None:
        """Take down the event that the core broke of."""


class Driver:
    """Owns the core."""

    def __init__(self, core: Core, journal: Journal | None = None) -> None:
        self._core = core
        self._journal = journal
        self._shells: Mapping[GroupId, GroupShell] = {}
        self._places: dict[TicketId, Place] = {}
        self._unloads: dict[AskerId, trio.Event] = {}
        self._numbers = count(1)
        self._alarm = trio.CancelScope()
        self.history: Final = History(trio.current_time())
        """For people: what was swapped, and how many requests were served."""
        self.broken: CoreError | None = None
        """What the core died of; nothing is decided any more."""
        self.collapsed: Final = trio.Event()
        """Set once it is broken."""
        if journal is not None:
            journal.begin(partial(checkpoint, core.world), trio.current_time())

    def attach(self, shells: Mapping[GroupId, GroupShell]) -> None:
        """Take the shells of all groups: whom orders go to."""
        self._shells = shells

    def feed(self, event: Event) -> None:
        """Tell the core what happened and carry out what it says. Never waits, never raises."""
        if self.broken is not None:
            return
        now = trio.current_time()
        try:
            effects = self._core.handle(event, now)
        except CoreError as error:
            self.broken = error
            self.collapsed.set()
            if self._journal is not None:
                self._journal.note_collapse(event, error, now)
            _LOG.critical("the scheduler is broken, please report this: %s", error)
            return
        self.history.note(event, effects, now)
        if self._journal is not None:
            self._journal.note(event, effects, now)
        for effect in effects:
            self._perform(effect)
        self._alarm.deadline = self._core.next_deadline()

    async def keep_time(self) -> None:
        """Sleep until the core's next deadline, for ever."""
        while True:
            with trio.CancelScope(deadline=self._core.next_deadline()) as self._alarm:
                await trio.sleep_forever()
            self.feed(TimePassed())

    @contextmanager
    def place(self, model: ModelId) -> Iterator[Place]:
        """Stand in line for a model; leaving the block leaves the line or the seat, however that happens."""
        place = Place(TicketId(next(self._numbers)), model)
        self._places[place.ticket] = place
        try:
            self.feed(TicketArrived(ticket=place.ticket, model=model))
            yield place
        finally:
            del self._places[place.ticket]
            if place.run is not None:
                place.run.seats.pop(place.ticket, None)
            if place.refusal is None:
                leaving = TicketServed if place.served else TicketLeft
                self.feed(leaving(ticket=place.ticket))

    async def seated(self, place: Place) -> Run:
        """Wait for a seat.

        Raises:
            Refused: there will be none.
            CoreError: the scheduler broke down.
        """
        with trio.move_on_after(_LONG_WAIT_S):
            await place.settled.wait()
        if not place.settled.is_set():
            await self._wait_long(place)
        if place.refusal is not None:
            raise Refused(place.refusal)
        if place.run is None:
            raise self.broken or CoreError(f"ticket {place.ticket} was settled without a seat")
        return place.run

    async def _wait_long(self, place: Place) -> None:
        view = self._core.why(place.ticket, trio.current_time())
        if view is not None:
            _LOG.info("ticket %d for %s has waited %.1f s: %s", place.ticket, place.model, view.age_s, view.why)
        since = trio.current_time() - _LONG_WAIT_S
        await place.settled.wait()
        what = "is served" if place.refusal is None else "is refused"
        _LOG.info("ticket %d for %s %s after %.1f s", place.ticket, place.model, what, trio.current_time() - since)

    async def unload(self, models: tuple[ModelId, ...]) -> None:
        """Have models unloaded; return when nothing is left of their servers."""
        asker, done = self._ask()
        self.feed(UnloadAsked(asker=asker, models=models))
        await done.wait()

    def reconfigure(self, settings: Settings, restart: frozenset[ModelId]) -> trio.Event:
        """Go over to other settings; the event: nothing is left of the servers that had to end for it."""
        asker, done = self._ask()
        self.feed(SettingsChanged(asker=asker, settings=settings, restart=restart))
        return done

    def states(self) -> dict[ModelId, GroupState]:
        """Return the models that have a server or are the next to, each with the state of its group."""
        found: dict[ModelId, GroupState] = {}
        for group in self._core.world.groups.values():
            if group.server is not None:
                found[group.server] = group.state
            if group.committed and group.resident is not None:
                found[group.resident] = GroupState.LOADING
        return found

    def groups(self) -> frozenset[GroupId]:
        """The process groups that there are."""
        return frozenset(self._core.world.groups)

    def preload(self, models: tuple[ModelId, ...]) -> None:
        """Have models loaded where nobody has to leave for them."""
        self.feed(PreloadAsked(models=models))

    def shut_down(self, drain_s: float) -> trio.Event:
        """Refuse who waits, let who is served finish within `drain_s` seconds; the event: every server has stopped."""
        asker, done = self._ask()
        self.feed(ShutdownAsked(asker=asker, drain_s=drain_s))
        return done

    def hurry(self) -> None:
        """Shut down at once: every deadline is now."""
        self.feed(ShutdownHurried())

    def story(self, group: GroupId) -> list[str]:
        """What happened to a group lately, a line each."""
        return self._core.story(group)

    def snapshot(self) -> Snapshot:
        """Everything as it is now."""
        self.feed(TimePassed())
        return self._core.snapshot(trio.current_time())

    def check_health(self) -> None:
        """Make the core decide, and check that it is consistent and that nobody waits for nothing.

        Raises:
            CoreError: it is broken.
        """
        self.feed(TimePassed())
        if self.broken is not None:
            raise self.broken
        invariants.check(self._core)
        if self._alarm.deadline != self._core.next_deadline():
            raise CoreError("nobody will wake the scheduler at its next deadline")

    def _ask(self) -> tuple[AskerId, trio.Event]:
        asker = AskerId(next(self._numbers))
        self._unloads[asker] = done = trio.Event()
        return asker, done

    def _perform(self, effect: Effect) -> None:
        match effect:
            case StartServer(group=group, model=model):
                self._shells[group].start(model)
            case StopServer(group=group, grace_s=grace_s):
                self._shells[group].stop(grace_s)
            case GrantSeat(ticket=ticket, group=group):
                self._grant(ticket, group)
            case RefuseTicket(ticket=ticket, refusal=refusal) | CutSeat(ticket=ticket, refusal=refusal):
                self._turn_away(ticket, refusal)
            case ConfirmUnload(asker=asker):
                self._unloads.pop(asker).set()
            case ReportTransition() as report:
                _LOG.info(
                    "%s: %s -> %s (%s): %s", report.group, report.source, report.target, report.model, report.cause
                )
            case ReportBypass() as report:
                _LOG.info(
                    "ticket %d for %s does not wait for the hold of %s: %s",
                    report.ticket,
                    report.model,
                    report.victim,
                    report.cause,
                )
            case ReportPreload() as report:
                _LOG.warning("%s is not preloaded: %s", report.model, report.cause)
            case _:
                assert_never(effect)

    def _grant(self, ticket: TicketId, group: GroupId) -> None:
        place, run = self._places.get(ticket), self._shells[group].run
        if place is None or run is None:
            return  # its client left while time caught up; the core learns of it next
        place.run = run
        run.seats[ticket] = place.scope
        place.settled.set()

    def _turn_away(self, ticket: TicketId, refusal: Refusal) -> None:
        place = self._places.get(ticket)
        if place is None:
            return
        if place.run is not None:
            place.run.seats.pop(ticket, None)
        place.refusal = refusal
        place.scope.cancel()
        place.settled.set()
