"""What is seen of a proxy from outside: by the effects that its core asks for, and by records. The two must agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from . import effects as fx
from . import events as ev
from .effects import Effect
from .group import GroupState
from .settings import GroupId, ModelId, TicketId
from .world import World

DisplacedBy = Mapping[ModelId, frozenset[ModelId]]


class FoulError(Exception):
    """A rule of the contract was broken; the message is a sentence without a full stop."""


class Phase(Enum):
    """Of a server."""

    LOADING = "loading"
    LOADED = "loaded"
    STOPPING = "being stopped"


@dataclass(slots=True)
class Sight:
    """What can be seen of a proxy from outside: by its effects, if one kept count of them."""

    servers: dict[GroupId, tuple[ModelId, Phase]]
    waiting: dict[TicketId, ModelId]
    served: dict[TicketId, ModelId]
    askers: dict[ev.AskerId, frozenset[ModelId]]


def look(world: World) -> Sight:
    """What can be seen of a core, by its records."""
    servers = {
        group.id: (group.server, _phase(group.state)) for group in world.groups.values() if group.server is not None
    }
    waiting: dict[TicketId, ModelId] = {}
    served: dict[TicketId, ModelId] = {}
    for ticket in world.tickets.values():
        (waiting if ticket.granted_at is None else served)[ticket.id] = ticket.model
    return Sight(servers, waiting, served, {asker: frozenset(of) for asker, of in world.unloads.items()})


def _phase(state: GroupState) -> Phase:
    if state is GroupState.LOADING:
        return Phase.LOADING
    return Phase.STOPPING if state is GroupState.UNLOADING else Phase.LOADED


def follow(
    sight: Sight, event: ev.Event, effects: Iterable[Effect], displaced_by: DisplacedBy, moved: frozenset[ModelId]
) -> Sight:
    """Keep count of what is to be done.

    Args:
        sight: what was seen before.
        event: what happened.
        effects: what is to be done about it.
        displaced_by: the models that cannot be there while one loads.
        moved: the models whose server has to end if the configuration is changed now.

    Raises:
        FoulError: something that cannot be done.
    """
    seen = Sight(dict(sight.servers), dict(sight.waiting), dict(sight.served), dict(sight.askers))
    _happened(seen, event, moved)
    for effect in effects:
        match effect:
            case fx.StartServer(group=group, model=model):
                _starts(seen, group, model, displaced_by)
            case fx.StopServer(group=group, model=model):
                _stops(seen, event, group, model)
            case fx.GrantSeat() | fx.RefuseTicket() | fx.CutSeat():
                _answers(seen, effect)
            case fx.ConfirmUnload(asker=asker):
                _confirms(seen, asker)
            case fx.ReportTransition() | fx.ReportBypass() | fx.ReportPreload():
                pass
            case _:
                assert_never(effect)
    return seen


def _starts(seen: Sight, group: GroupId, model: ModelId, displaced_by: DisplacedBy) -> None:
    if group in seen.servers:
        raise FoulError(f"{model} is started where {seen.servers[group][0]} still is")
    for other, phase in seen.servers.values():
        if other in displaced_by[model] and model in displaced_by[other]:
            raise FoulError(f"{model} is started beside {other}, which is {phase.value}")
    seen.servers[group] = model, Phase.LOADING


def _happened(seen: Sight, event: ev.Event, moved: frozenset[ModelId]) -> None:
    match event:
        case ev.TicketArrived(ticket=ticket, model=model):
            seen.waiting[ticket] = model
        case ev.TicketServed(ticket=ticket) | ev.TicketLeft(ticket=ticket):
            seen.waiting.pop(ticket, None)
            seen.served.pop(ticket, None)
        case ev.ServerReady(group=group):
            seen.servers[group] = seen.servers[group][0], Phase.LOADED
        case ev.ServerStopped(group=group):
            stopped, _ = seen.servers.pop(group)
            seen.askers = {asker: models - {stopped} for asker, models in seen.askers.items()}
        case ev.UnloadAsked(asker=asker, models=models):
            there = {model for model, _ in seen.servers.values()}
            seen.askers[asker] = frozenset(models) & there
        case ev.SettingsChanged(asker=asker):
            seen.askers[asker] = moved & {model for model, _ in seen.servers.values()}
        case ev.ShutdownAsked(asker=asker):
            seen.askers[asker] = frozenset(model for model, _ in seen.servers.values())
        case ev.ServerFailed() | ev.PreloadAsked() | ev.ShutdownHurried() | ev.TimePassed():
            pass
        case _:
            assert_never(event)


def _stops(seen: Sight, event: ev.Event, group: GroupId, model: ModelId) -> None:
    there, phase = seen.servers.get(group, (None, Phase.STOPPING))
    if there != model:
        raise FoulError(f"{model} is stopped where it is not")
    if phase is Phase.STOPPING and not isinstance(event, ev.ShutdownHurried):
        raise FoulError(f"{model} is told to stop twice")
    if model in seen.served.values():
        raise FoulError(f"{model} is stopped while it serves")
    seen.servers[group] = model, Phase.STOPPING


def _answers(seen: Sight, effect: fx.GrantSeat | fx.RefuseTicket | fx.CutSeat) -> None:
    match effect:
        case fx.GrantSeat(ticket=ticket, group=group, model=model):
            if seen.waiting.pop(ticket, None) != model:
                raise FoulError(f"a seat of {model} for ticket {ticket}, which does not wait for it")
            if seen.servers.get(group) != (model, Phase.LOADED):
                raise FoulError(f"a seat of {model}, which is not loaded")
            seen.served[ticket] = model
        case fx.RefuseTicket(ticket=ticket):
            if seen.waiting.pop(ticket, None) is None:
                raise FoulError(f"ticket {ticket} is refused and does not wait")
        case fx.CutSeat(ticket=ticket):
            if seen.served.pop(ticket, None) is None:
                raise FoulError(f"ticket {ticket} is cut off and is not served")
        case _:
            assert_never(effect)


def _confirms(seen: Sight, asker: ev.AskerId) -> None:
    wanted = seen.askers.pop(asker, None)
    if wanted is None:
        raise FoulError(f"asker {asker} is answered and did not ask")
    if wanted:
        raise FoulError(f"asker {asker} is answered before {', '.join(sorted(wanted))} has stopped")


def difference(seen: Sight, recorded: Sight) -> str:
    """What two sights that ought to be alike differ in."""
    for name in ("servers", "waiting", "served", "askers"):
        one, other = getattr(seen, name), getattr(recorded, name)
        if one != other:
            return f"{name} are {one} by effects, {other} by records"
    return "in nothing"
