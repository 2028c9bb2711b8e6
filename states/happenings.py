"""What can happen next in a state of a small world, as steps that can be taken, named and told.

A step says who by number, so that it means the same in every state of its world. Time is one of the steps: one or more
timers end, at one instant, and nothing else. That time passes without a timer ending makes no difference to anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from itertools import combinations
from typing import NamedTuple, assert_never

from . import events as ev
from .abstraction import Abstraction
from .frames import RUNS, SLOTS, Frame, Timer, TimerKind
from .group import LOADED, GroupState, Pressure
from .settings import TicketId
from .small_world import UNIT_S, Operation, Wish


class What(Enum):
    """Kinds of steps, and of whom `Step.of` is the number."""

    ARRIVES = "a client of the crowd asks"
    SERVED = "one of the crowd is served"
    BROKE_OFF = "one of the crowd goes away while it is served"
    LEFT = "who stands at that place goes away"
    READY = "the server of the group answers"
    FAILED = "the server of the group fails"
    STOPPED = "the server of the group has stopped"
    ASKED = "the operation is asked for"
    TIME = "timers end"


class Step(NamedTuple):
    """Something that happens."""

    what: What
    of: int = 0
    timers: tuple[Timer, ...] = ()


def steps(abstraction: Abstraction, frame: Frame) -> Iterator[Step]:
    """Everything that can happen next, time last."""
    scene = abstraction.scene
    for number in range(len(scene.crowds)):
        if abstraction.to_come(frame, number):
            yield Step(What.ARRIVES, number)
    yield from _departures(abstraction, frame)
    for number, group in enumerate(frame.groups):
        match group.state:
            case GroupState.UNLOADING:
                yield Step(What.STOPPED, number)
            case GroupState.LOADING:
                yield Step(What.READY, number)
        if group.server in scene.fails and group.state is not GroupState.UNLOADING:
            yield Step(What.FAILED, number)
    for number, operation in enumerate(scene.operations):
        if abstraction.left_of(frame, number) and (operation.wish is not Wish.HURRY or frame.shutting_down):
            yield Step(What.ASKED, number)
    for timers in endings(abstraction, frame):
        yield Step(What.TIME, 0, timers)


def _departures(abstraction: Abstraction, frame: Frame) -> Iterator[Step]:
    crowds, models = abstraction.scene.crowds, abstraction.models
    for number, many in enumerate(frame.served):
        if many:
            yield Step(What.SERVED, number)
            # An answer that broke off differs from one that was given in what it says of the server's health alone.
            if crowds[number].leaves and frame.failures[models.index(crowds[number].model)]:
                yield Step(What.BROKE_OFF, number)
    before = None
    for at, place in enumerate(frame.places):
        if crowds[place.crowd].leaves and place != before:
            yield Step(What.LEFT, at)
        # Of passengers of one crowd, where their order does not matter, one is enough.
        before = place if place.seated and place.deadline < RUNS else None


def endings(abstraction: Abstraction, frame: Frame) -> Iterator[tuple[Timer, ...]]:
    """Every set of timers that may end next, at one instant.

    A timer that the core need not notice when it ends (a hold without a rival, say) changes nothing then; together with
    others it is the same as shortly before them, so it ends alone.
    """
    noticed = [*_deadlines(frame, seated=False), *(timer for timer, counts in _of_groups(abstraction, frame) if counts)]
    for many in range(1, min(abstraction.scene.coincidences, len(noticed)) + 1):
        for timers in combinations(noticed, many):
            if _in_order(abstraction, frame, timers):
                yield timers
    unnoticed = [
        *_deadlines(frame, seated=True),
        *(timer for timer, counts in _of_groups(abstraction, frame) if not counts),
        *(Timer(TimerKind.PAUSE, number) for number, paused in enumerate(frame.paused) if paused),
    ]
    for timer in unnoticed:
        if _in_order(abstraction, frame, (timer,)):
            yield (timer,)


def _deadlines(frame: Frame, *, seated: bool) -> Iterator[Timer]:
    for at, place in enumerate(frame.places):
        if place.deadline == RUNS and place.seated is seated:
            yield Timer(TimerKind.DEADLINE, at)


def _of_groups(abstraction: Abstraction, frame: Frame) -> Iterator[tuple[Timer, bool]]:
    """The timers of groups, and whether the core may have to notice when they end."""
    for number, group in enumerate(frame.groups):
        if group.state not in LOADED or group.server is None:
            continue
        if group.closing:
            yield Timer(TimerKind.GRACE, number), True
            continue
        model = abstraction.models.index(group.server)
        idle = not abstraction.serves(frame, group.server)
        if idle and group.idle_phase < len(abstraction.idle_phases[model]):
            ends = abstraction.idle_phases[model][group.idle_phase]
            chosen = frame.settings.models[group.server]
            pressed = group.pressure is not Pressure.NONE
            yield Timer(TimerKind.IDLE, number), ends == (chosen.unload_delay_s if pressed else chosen.ttl_s)
        if not group.settled:
            yield Timer(TimerKind.MIN_LOADED, number), idle


def _in_order(abstraction: Abstraction, frame: Frame, timers: tuple[Timer, ...]) -> bool:
    """Whether nobody who came before, and whose `max_wait` is not longer, would be overtaken."""
    waits = [frame.settings.models[crowd.model].max_wait_s for crowd in abstraction.scene.crowds]
    for kind, at in timers:
        if kind is not TimerKind.DEADLINE:
            continue
        wait_s = waits[frame.places[at].crowd]
        for earlier in range(at):
            place = frame.places[earlier]
            if place.deadline == RUNS and waits[place.crowd] <= wait_s:
                together = Timer(TimerKind.DEADLINE, earlier) in timers
                if not together or waits[place.crowd] < wait_s:
                    return False
    return True


def event_of(abstraction: Abstraction, frame: Frame, step: Step) -> ev.Event:
    """What the core is told, once `put_back` has put the state into it."""
    match step.what:
        case What.ARRIVES:
            crowd = abstraction.scene.crowds[step.of]
            here = frame.served[step.of] + sum(place.crowd == step.of for place in frame.places)
            ticket = TicketId(step.of * SLOTS + here)
            return ev.TicketArrived(ticket=ticket, model=crowd.model, priority=crowd.priority)
        case What.SERVED:
            return ev.TicketServed(ticket=TicketId(step.of * SLOTS))
        case What.BROKE_OFF:
            return ev.TicketLeft(ticket=TicketId(step.of * SLOTS))
        case What.LEFT:
            return ev.TicketLeft(ticket=abstraction.ticket_at(frame, step.of))
        case What.READY:
            return ev.ServerReady(group=abstraction.groups[step.of])
        case What.FAILED:
            loads = frame.groups[step.of].state is GroupState.LOADING
            failure = ev.Failure.LOAD_FAILED if loads else ev.Failure.DIED
            return ev.ServerFailed(group=abstraction.groups[step.of], failure=failure, detail="it failed")
        case What.STOPPED:
            return ev.ServerStopped(group=abstraction.groups[step.of])
        case What.ASKED:
            return _asked(abstraction, abstraction.scene.operations[step.of], ev.AskerId(len(frame.unloads)))
        case What.TIME:
            return ev.TimePassed()
        case _:
            assert_never(step.what)


def _asked(abstraction: Abstraction, operation: Operation, asker: ev.AskerId) -> ev.Event:
    match operation.wish:
        case Wish.UNLOAD | Wish.UNLOAD_KEEPING:
            keep = operation.wish is Wish.UNLOAD_KEEPING
            return ev.UnloadAsked(asker=asker, models=operation.models, keep_waiting=keep)
        case Wish.CHANGE:
            changed, restart = abstraction.in_force[-1], abstraction.scene.restart
            return ev.SettingsChanged(asker=asker, settings=changed, restart=restart)
        case Wish.PRELOAD:
            return ev.PreloadAsked(models=operation.models)
        case Wish.SHUTDOWN:
            return ev.ShutdownAsked(asker=asker, drain_s=UNIT_S)
        case Wish.SHUTDOWN_AT_ONCE:
            return ev.ShutdownAsked(asker=asker, drain_s=0.0)
        case Wish.HURRY:
            return ev.ShutdownHurried()
        case _:
            assert_never(operation.wish)
