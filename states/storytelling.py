"""A way through the states of a small world as a story: what happens, and what the core wants done about it.

The steps are taken once more. Tickets get their numbers by arrival and keep them, whatever the core calls them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, assert_never

from . import effects as fx
from . import events as ev
from . import scheduler
from .abstraction import Abstraction
from .effects import Effect
from .errors import CoreError
from .frames import SLOTS, Frame, Timer, TimerKind
from .happenings import Step, What
from .playing import Player
from .reasons import Held, Loading, Reason, sentence
from .settings import GroupId, TicketId
from .sight import FoulError
from .small_world import SmallWorld
from .visits import BoundError

_FOR_EVER: Final = "and then for ever:"
_TICKET: Final = re.compile(r"\bticket (\d+)")

Names = Mapping[TicketId, int]
"""The number that the story has for what the core calls otherwise."""


def retell(scene: SmallWorld, path: Iterable[Step], cycle: Iterable[Step] = (), complaint: str = "") -> list[str]:
    """Tell a way.

    Args:
        scene: the world.
        path: from its first state; the last step may be a wrong one.
        cycle: from there, what can go on for ever.
        complaint: what is wrong in the end, in the core's words.

    Returns:
        A line for each step, and what those who still wait then wait for.
    """
    return list(_Teller(scene).tell(path, tuple(cycle), complaint))


class _Teller:
    def __init__(self, scene: SmallWorld) -> None:
        self._player = Player(scene)
        self._scene = scene
        self._state = self._player.begin()
        self._names: dict[TicketId, int] = {}
        self._arrived = 0
        self._lines = 0
        self._is_wrong = False

    def tell(self, path: Iterable[Step], cycle: tuple[Step, ...], complaint: str) -> Iterator[str]:
        for step in path:
            yield self._line(step)
        if complaint:
            yield f"   !  {_renamed(complaint, self._names)}"
        if not self._is_wrong:
            yield from self._who_waits()
        if cycle:
            yield f"      {_FOR_EVER}"
        for step in cycle:
            yield self._line(step)

    def _line(self, step: Step) -> str:
        player, abstraction = self._player, self._player.abstraction
        frame = abstraction.read(self._state)
        player.enter(frame)
        try:
            player.take(frame, step)
        except CoreError:
            self._is_wrong = True  # what it is, the complaint says
        event, effects = player.event, player.effects
        if isinstance(event, ev.TicketArrived):
            self._arrived += 1
            self._names[event.ticket] = self._arrived
        if step.what is What.TIME:
            happens = _timers(abstraction, frame, step, self._names)
        else:
            servers = [group.server or "nobody" for group in frame.groups]
            happens = _event(event, self._names, dict(zip(abstraction.groups, servers, strict=True)))
        answers = [*_effects(effects, self._names)]
        self._go_on()
        self._lines += 1
        return f"{self._lines:4}. {happens}" + (f"  ->  {', '.join(answers)}" if answers else "")

    def _go_on(self) -> None:
        """Go to the next state; the core calls its tickets otherwise there."""
        player, abstraction = self._player, self._player.abstraction
        try:
            self._state = self._state if self._is_wrong else player.judge()
        except (CoreError, FoulError, BoundError):
            self._is_wrong = True
        if self._is_wrong:
            return
        world = player.core.world
        beyond = abstraction.read(self._state).beyond
        names: dict[TicketId, int] = {}
        places = [0] * len(self._scene.crowds)
        for ticket in abstraction.order(world, beyond):
            crowd = ticket // SLOTS
            names[TicketId(crowd * SLOTS + places[crowd])] = self._names[ticket]
            places[crowd] += 1
        self._names = names

    def _who_waits(self) -> Iterator[str]:
        player = self._player
        player.enter(player.abstraction.read(self._state))
        world = player.core.world
        made = scheduler.claims(world)
        for ticket in world.tickets.values():
            if ticket.granted_at is None:
                why = scheduler.reason(world, ticket, made)
                yield f"      ticket {self._names[ticket.id]} for {ticket.model} waits: {_because(why, self._names)}"


def first_line(error: CoreError) -> str:
    """What a core says is wrong, without the stories of its groups."""
    return str(error).partition("\n")[0]


def _renamed(text: str, names: Names) -> str:
    return _TICKET.sub(lambda found: f"ticket {names.get(TicketId(int(found[1])), found[1])}", text)


def _because(why: Reason | None, names: Names) -> str:
    """A reason, without times: a small world has none."""
    match why:
        case None:
            return "for nothing"
        case Held(victim=victim):
            return f"{victim} must leave and is held"
        case Loading(model=model):
            return f"{model} is loading"
        case _:
            return _renamed(sentence(why, 0.0), names)


def _event(event: ev.Event, names: Names, servers: Mapping[GroupId, str]) -> str:
    match event:
        case ev.TicketArrived(ticket=ticket, model=model, priority=priority):
            return f"ticket {names[ticket]} asks for {model}" + ("" if priority is None else f", priority {priority}")
        case ev.TicketServed(ticket=ticket):
            return f"ticket {names[ticket]} is done"
        case ev.TicketLeft(ticket=ticket):
            return f"ticket {names[ticket]} goes away"
        case ev.ServerReady(group=group):
            return f"{servers[group]} is ready"
        case ev.ServerFailed(group=group):
            return f"{servers[group]} fails"
        case ev.ServerStopped(group=group):
            return f"{servers[group]} has stopped"
        case ev.TimePassed():
            return "time passes"
        case _:
            return _asked(event)


def _asked(event: ev.UnloadAsked | ev.SettingsChanged | ev.PreloadAsked | ev.ShutdownAsked | ev.ShutdownHurried) -> str:
    match event:
        case ev.UnloadAsked(models=models, keep_waiting=keep):
            return f"unload of {', '.join(models)} is asked" + (", whoever waits stays in line" if keep else "")
        case ev.SettingsChanged():
            return "the configuration is changed"
        case ev.PreloadAsked(models=models):
            return f"preload of {', '.join(models)} is asked"
        case ev.ShutdownAsked():
            return "shutdown is asked"
        case ev.ShutdownHurried():
            return "the shutdown is hurried"
        case _:
            assert_never(event)


def _timers(abstraction: Abstraction, frame: Frame, step: Step, names: Names) -> str:
    return " and ".join(_timer(abstraction, frame, timer, names) for timer in step.timers)


def _timer(abstraction: Abstraction, frame: Frame, timer: Timer, names: Names) -> str:
    match timer.kind:
        case TimerKind.DEADLINE:
            return f"ticket {names[abstraction.ticket_at(frame, timer.of)]} is overdue"
        case TimerKind.IDLE:
            return f"the {_idle(abstraction, frame, timer.of)} is over"
        case TimerKind.MIN_LOADED:
            return f"the min_loaded of {frame.groups[timer.of].server} is over"
        case TimerKind.GRACE:
            return f"the grace of the unload of {frame.groups[timer.of].server} is over"
        case TimerKind.PAUSE:
            return f"the pause of {abstraction.models[timer.of]} is over"
        case _:
            assert_never(timer.kind)


def _idle(abstraction: Abstraction, frame: Frame, number: int) -> str:
    group = frame.groups[number]
    if group.server is None:
        return "time of nobody"
    chosen = frame.settings.models[group.server]
    ends = abstraction.idle_phases[abstraction.models.index(group.server)][group.idle_phase]
    which = [key for key, time in (("unload_delay", chosen.unload_delay_s), ("ttl", chosen.ttl_s)) if time == ends]
    return f"{' and '.join(which)} of {group.server}"


def _effects(effects: Iterable[Effect], names: Names) -> Iterator[str]:
    for effect in effects:
        match effect:
            case fx.StartServer(model=model):
                yield f"start {model}"
            case fx.StopServer(model=model):
                yield f"stop {model}"
            case fx.GrantSeat(ticket=ticket):
                yield f"serve ticket {names.get(ticket, '?')}"
            case fx.RefuseTicket(ticket=ticket, refusal=refusal):
                yield f"refuse ticket {names.get(ticket, '?')} ({refusal.code.value})"
            case fx.CutSeat(ticket=ticket, refusal=refusal):
                yield f"cut off ticket {names.get(ticket, '?')} ({refusal.code.value})"
            case fx.ConfirmUnload():
                yield "say that it is unloaded"
            case fx.ReportPreload(model=model):
                yield f"no preload of {model}"
            case fx.ReportTransition() | fx.ReportBypass():
                pass
            case _:
                assert_never(effect)
