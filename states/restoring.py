"""A state of a small world put into a core, at time 0: the other half of `abstraction`.

Times that play a part are chosen so that they compare as they did. Those that do not are long over: whoever reads a
time that was not noted when it should have been is found out.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf
from typing import Final

from .abstraction import Abstraction
from .core import Core
from .events import AskerId
from .frames import INSTANT_S, PASSED, RUNS, SLOTS, Frame, Timer, TimerKind
from .group import LOADED, Group, GroupState
from .settings import GroupId, TicketId
from .waiting import Line, Rank, Ticket
from .world import World

_FAR: Final = 1e6
"""When a timer ends that does not end next."""
_LONG_AGO: Final = -1e6
_NO_RANK: Final = Rank(0, 0.0)


def put_back(abstraction: Abstraction, frame: Frame, core: Core, ending: Collection[Timer] = ()) -> None:
    """Put a state into a core.

    Args:
        abstraction: by which it was read.
        frame: the state.
        core: of the same small world; whatever it was in before is forgotten.
        ending: the timers that end at `INSTANT_S`; no other ends soon.
    """
    world = core.world
    world.clock = 0.0
    world.shutting_down = frame.shutting_down
    world.preloads = list(frame.preloads)
    world.unloads = {AskerId(number): set(models) for number, models in enumerate(frame.unloads)}
    if len(abstraction.in_force) > 1:
        _put_back_settings(abstraction, world, frame)
    world.residents, world.stopping = {}, {}
    for name in world.groups:
        _put_back_group(abstraction, world, frame, name, ending)
    world.waiting, world.tickets = {}, {}
    for number, model in enumerate(world.models.values()):
        model.failures = frame.failures[number]
        ends = (INSTANT_S if Timer(TimerKind.PAUSE, number) in ending else _FAR) if frame.paused[number] else -inf
        model.paused_until = ends
        model.line = Line()
        model.seated = {}
    _put_back_tickets(abstraction, world, frame, ending)
    for model in world.models.values():
        model.surplus = max(0, len(model.seated) - model.settings.concurrency)


def _put_back_settings(abstraction: Abstraction, world: World, frame: Frame) -> None:
    world.settings = frame.settings
    world.policy = abstraction.policies[abstraction.which(frame.settings)]
    world.groups = {}
    for name, model in world.models.items():
        model.settings = frame.settings.models[name]
        home = abstraction.home(frame, name)
        model.group = world.groups.setdefault(home, Group(id=home))
    world.leaving = {name: world.models[name] for name in abstraction.models if name in frame.leaving}


def _put_back_group(
    abstraction: Abstraction, world: World, frame: Frame, name: GroupId, ending: Collection[Timer]
) -> None:
    group, number = world.groups[name], abstraction.groups.index(name)
    record = frame.groups[number]
    group.state, group.resident, group.server, awaiting, group.pressure, closing, phase, settled = record
    group.awaiting = set(awaiting)
    group.since = 0.0
    group.idle_since = group.loaded_at = _LONG_AGO
    group.cut_at = inf
    if closing:
        group.cut_at = INSTANT_S if Timer(TimerKind.GRACE, number) in ending else _FAR
    if group.resident is not None:
        world.residents[group.resident] = world.models[group.resident]
    if group.state is GroupState.UNLOADING:
        world.stopping[group.id] = group
    elif group.server is not None and group.state in LOADED:
        model = abstraction.models.index(group.server)
        ends, min_loaded_s = abstraction.idle_phases[model], abstraction.min_loaded_s[model]
        if not abstraction.serves(frame, group.server):
            group.idle_since = -ends[phase - 1] if phase else 0.0
        if Timer(TimerKind.IDLE, number) in ending:
            group.idle_since = INSTANT_S - ends[phase]
        group.loaded_at = _LONG_AGO if settled else 0.0
        if Timer(TimerKind.MIN_LOADED, number) in ending:
            group.loaded_at = INSTANT_S - min_loaded_s


def _put_back_tickets(abstraction: Abstraction, world: World, frame: Frame, ending: Collection[Timer]) -> None:
    strategy, models, number = frame.settings.strategy, world.models, 0
    ids = [crowd * SLOTS for crowd in range(len(frame.served))]
    for crowd, many in enumerate(frame.served):
        for _ in range(many):
            ticket = _ticket(abstraction, frame, ids[crowd], number, inf)
            ids[crowd] += 1
            ticket.granted_at = 0.0
            world.tickets[ticket.id] = models[ticket.model].seated[ticket.id] = ticket
            number += 1
    for at, (crowd, seated, deadline, boost) in enumerate(frame.places):
        runs = INSTANT_S if Timer(TimerKind.DEADLINE, at) in ending else _FAR
        ends = _LONG_AGO + deadline if deadline >= PASSED else runs if deadline == RUNS else inf
        ticket = _ticket(abstraction, frame, ids[crowd], number, ends)
        ids[crowd] += 1
        ticket.boost = _LONG_AGO + boost if boost else inf
        ticket.rank = ticket.rank_at(0.0, strategy)
        world.tickets[ticket.id] = ticket
        number += 1
        model = models[ticket.model]
        model.line.boosted |= boost > 0
        if seated:
            model.seated[ticket.id] = ticket
        else:
            world.waiting[model.id] = model
            model.line.add(ticket, 0.0)
    world.arrivals = number


def _ticket(abstraction: Abstraction, frame: Frame, ticket_id: int, number: int, deadline: float) -> Ticket:
    crowd = abstraction.scene.crowds[ticket_id // SLOTS]
    chosen = frame.settings.models[crowd.model]
    arrived_at = deadline - chosen.max_wait_s if deadline < inf else 0.0
    priority = chosen.priority if crowd.priority is None else crowd.priority
    ticket = Ticket(TicketId(ticket_id), crowd.model, priority, arrived_at, number, deadline, _NO_RANK)
    ticket.own_priority = crowd.priority
    return ticket
