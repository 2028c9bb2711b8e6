"""What the core shows of itself: frozen, with times relative to now."""

from __future__ import annotations

from dataclasses import dataclass

from . import scheduler
from .group import Group, GroupState
from .reasons import Reason, sentence
from .scheduler import Claim
from .settings import GroupId, ModelId, TicketId
from .waiting import Ticket
from .world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """One process group."""

    id: GroupId
    state: GroupState
    model: ModelId | None
    """Whose server exists."""
    next_model: ModelId | None
    """Who is committed, while victims still stop."""
    seats_taken: int
    concurrency: int
    hold_s: float | None
    """Seconds until the hold of a loaded model without work ends; None: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketView:
    """One ticket without a seat that it can use."""

    id: TicketId
    model: ModelId
    priority: int
    age_s: float
    overdue: bool
    seated: bool
    """It has its seat, and its model is not loaded yet."""
    reason: Reason | None
    """None would be a bug of ours: it waits for nothing."""
    why: str
    """The reason as an English sentence, without a full stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that operators see."""

    at: float
    """The time that it shows, on the core's clock; only the times in reasons are on that clock too."""
    groups: tuple[GroupView, ...]
    queue: tuple[TicketView, ...]
    """In order of arrival."""
    shutting_down: bool


def snapshot(world: World) -> Snapshot:
    """Look at the world as it is at its clock."""
    made = scheduler.claims(world)
    unserved = [ticket for ticket in world.tickets.values() if ticket.granted_at is None]
    return Snapshot(
        at=world.clock,
        groups=tuple(_group(world, group) for group in world.groups.values()),
        queue=tuple(view_ticket(world, ticket, made) for ticket in unserved),
        shutting_down=world.shutting_down,
    )


def view_ticket(world: World, ticket: Ticket, made: list[Claim]) -> TicketView:
    """Look at one ticket; `made` is what `scheduler.claims` says now."""
    reason = scheduler.reason(world, ticket, made)
    return TicketView(
        id=ticket.id,
        model=ticket.model,
        priority=ticket.priority,
        age_s=world.clock - ticket.arrived_at,
        overdue=ticket.deadline <= world.clock,
        seated=ticket.id in world.models[ticket.model].seated,
        reason=reason,
        why="nothing: please report this" if reason is None else sentence(reason, world.clock),
    )


def _group(world: World, group: Group) -> GroupView:
    shown = group.server or group.resident
    model = None if shown is None else world.models[shown]
    hold = 0.0 if model is None else scheduler.held_until(world, model) - world.clock
    return GroupView(
        id=group.id,
        state=group.state,
        model=group.server,
        next_model=group.resident if group.committed else None,
        seats_taken=0 if model is None else len(model.seated),
        concurrency=0 if model is None else model.settings.concurrency,
        hold_s=hold if hold > 0 else None,
    )
