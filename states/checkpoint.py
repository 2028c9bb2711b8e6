"""Everything that a core knows, as frozen values: taken between two events, and made into a core that goes on alike.

A journal begins with one, and goes on with one where some of it was lost or rotated away. What is derived is left out,
but for its order: what a core does first, where several things could be done, follows from the order of its records.
"""

from __future__ import annotations

from dataclasses import dataclass

from .core import Core
from .estimates import Duration, Estimates
from .events import AskerId
from .group import Group, GroupState, Pressure
from .settings import GroupId, ModelId, ModelSettings, Settings, TicketId
from .waiting import Line, Rank, Ticket
from .world import Model, World


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecord:
    """See `group.Group`."""

    id: GroupId
    state: GroupState
    resident: ModelId | None
    server: ModelId | None
    awaiting: tuple[GroupId, ...]
    pressure: Pressure
    since: float
    loaded_at: float
    idle_since: float
    cut_at: float
    story: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """See `world.Model`."""

    id: ModelId
    settings: ModelSettings
    """Its last ones, if the configuration does not have it any more."""
    group: GroupId
    seated: tuple[TicketId, ...]
    surplus: int
    failures: int
    last_failure: str
    paused_until: float
    boosted: bool
    """Of its line."""
    load_s: float | None
    """What its loads are expected to take; stops and services alike."""
    stop_s: float | None
    service_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRecord:
    """See `waiting.Ticket`."""

    id: TicketId
    model: ModelId
    priority: int
    arrived_at: float
    number: int
    deadline: float
    rank: tuple[int, float]
    own_priority: int | None
    boost: float
    granted_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The records of a world, each kind in the order that the world has it in."""

    clock: float
    groups: tuple[GroupRecord, ...]
    models: tuple[ModelRecord, ...]
    tickets: tuple[TicketRecord, ...]
    arrivals: int
    waiting: tuple[ModelId, ...]
    residents: tuple[ModelId, ...]
    stopping: tuple[GroupId, ...]
    unloads: tuple[tuple[AskerId, tuple[ModelId, ...]], ...]
    preloads: tuple[ModelId, ...]
    leaving: tuple[ModelId, ...]
    shutting_down: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All there is to know of a core between two events."""

    settings: Settings
    records: Records


def checkpoint(world: World) -> Checkpoint:
    """Write down a world, between two events of its core."""
    records = Records(
        clock=world.clock,
        groups=tuple(_group_record(group) for group in world.groups.values()),
        models=tuple(_model_record(model) for model in world.models.values()),
        tickets=tuple(_ticket_record(ticket) for ticket in world.tickets.values()),
        arrivals=world.arrivals,
        waiting=tuple(world.waiting),
        residents=tuple(world.residents),
        stopping=tuple(world.stopping),
        unloads=tuple((asker, tuple(sorted(models))) for asker, models in world.unloads.items()),
        preloads=tuple(world.preloads),
        leaving=tuple(world.leaving),
        shutting_down=world.shutting_down,
    )
    return Checkpoint(settings=world.settings, records=records)


def core_of(taken: Checkpoint) -> Core:
    """Return a new core that does from now on what the one would do of which the checkpoint was taken.

    Raises:
        LookupError: the records do not belong together; they were changed by hand.
    """
    core = Core(taken.settings)
    world, records = core.world, taken.records
    world.clock, world.arrivals = records.clock, records.arrivals
    world.groups = {record.id: _group(record) for record in records.groups}
    world.models = {record.id: _model(record, world.groups[record.group]) for record in records.models}
    world.tickets = {record.id: _ticket(record) for record in records.tickets}
    for record in records.models:
        world.models[record.id].seated = {ticket: world.tickets[ticket] for ticket in record.seated}
    for ticket in world.tickets.values():
        if ticket.id not in world.models[ticket.model].seated:
            world.models[ticket.model].line.add(ticket, world.clock)
    world.waiting = {model: world.models[model] for model in records.waiting}
    world.residents = {model: world.models[model] for model in records.residents}
    world.stopping = {group: world.groups[group] for group in records.stopping}
    world.unloads = {asker: set(models) for asker, models in records.unloads}
    world.preloads = list(records.preloads)
    world.leaving = {model: world.models[model] for model in records.leaving}
    world.shutting_down = records.shutting_down
    return core


def _group_record(group: Group) -> GroupRecord:
    return GroupRecord(
        id=group.id,
        state=group.state,
        resident=group.resident,
        server=group.server,
        awaiting=tuple(sorted(group.awaiting)),
        pressure=group.pressure,
        since=group.since,
        loaded_at=group.loaded_at,
        idle_since=group.idle_since,
        cut_at=group.cut_at,
        story=tuple(group.story),
    )


def _group(record: GroupRecord) -> Group:
    group = Group(
        id=record.id,
        state=record.state,
        resident=record.resident,
        server=record.server,
        awaiting=set(record.awaiting),
        pressure=record.pressure,
        since=record.since,
        loaded_at=record.loaded_at,
        idle_since=record.idle_since,
        cut_at=record.cut_at,
    )
    group.story.extend(record.story)
    return group


def _model_record(model: Model) -> ModelRecord:
    return ModelRecord(
        id=model.id,
        settings=model.settings,
        group=model.group.id,
        seated=tuple(model.seated),
        surplus=model.surplus,
        failures=model.failures,
        last_failure=model.last_failure,
        paused_until=model.paused_until,
        boosted=model.line.boosted,
        load_s=model.estimates.load.mean_s,
        stop_s=model.estimates.stop.mean_s,
        service_s=model.estimates.service.mean_s,
    )


def _model(record: ModelRecord, group: Group) -> Model:
    return Model(
        id=record.id,
        settings=record.settings,
        group=group,
        line=Line(boosted=record.boosted),
        surplus=record.surplus,
        failures=record.failures,
        last_failure=record.last_failure,
        paused_until=record.paused_until,
        estimates=Estimates(Duration(record.load_s), Duration(record.stop_s), Duration(record.service_s)),
    )


def _ticket_record(ticket: Ticket) -> TicketRecord:
    return TicketRecord(
        id=ticket.id,
        model=ticket.model,
        priority=ticket.priority,
        arrived_at=ticket.arrived_at,
        number=ticket.number,
        deadline=ticket.deadline,
        rank=(ticket.rank.tier, ticket.rank.order),
        own_priority=ticket.own_priority,
        boost=ticket.boost,
        granted_at=ticket.granted_at,
    )


def _ticket(record: TicketRecord) -> Ticket:
    return Ticket(
        id=record.id,
        model=record.model,
        priority=record.priority,
        arrived_at=record.arrived_at,
        number=record.number,
        deadline=record.deadline,
        rank=Rank(*record.rank),
        own_priority=record.own_priority,
        boost=record.boost,
        granted_at=record.granted_at,
    )
