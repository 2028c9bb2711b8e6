"""What the referee remembers of a state until the step out of it is done: tickets in line, loaded models, the view."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from .group import LOADED
from .settings import GroupId, ModelId, TicketId
from .sight import Sight, look
from .waiting import Ticket
from .world import World


@dataclass(frozen=True, slots=True)
class Standing:
    """What a ticket's rank is made of."""

    ticket: TicketId
    model: ModelId
    priority: int
    number: int
    deadline: float
    boost: float

    @classmethod
    def of(cls, ticket: Ticket) -> Standing:
        """Where a ticket stands now."""
        return cls(ticket.id, ticket.model, ticket.priority, ticket.number, ticket.deadline, ticket.boost)

    def rank(self, now: float, *, by_arrival: bool) -> tuple[float, float]:
        """Lower is better; equal: neither outranks."""
        if by_arrival:
            return (0, self.number)
        overdue = min(self.boost, self.deadline if self.deadline <= now else inf)
        return (0, overdue) if overdue < inf else (1, -self.priority)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded model, before a step."""

    group: GroupId
    idle_since: float
    """inf: a seat is taken."""
    loaded_at: float
    closing: bool


@dataclass(slots=True)
class Before:
    """What is to be remembered of a state until the step is done."""

    sight: Sight
    resident: frozenset[ModelId]
    loaded: dict[ModelId, Loaded]
    in_line: dict[TicketId, Standing]
    preloads: frozenset[ModelId]
    failures: dict[ModelId, int]
    """In a row."""


def remember(world: World, seen: Before | None = None) -> Before:
    """Look at a world before a step; `seen` is what was seen of it with other times."""
    loaded = {
        group.server: Loaded(
            group.id,
            inf if world.models[group.server].seated else group.idle_since,
            group.loaded_at,
            group.cut_at < inf,
        )
        for group in world.groups.values()
        if group.server is not None and group.state in LOADED
    }
    in_line = {ticket.id: Standing.of(ticket) for model in world.models.values() for _, _, ticket in model.line.ranked}
    if seen is not None:
        return Before(seen.sight, seen.resident, loaded, in_line, seen.preloads, seen.failures)
    failures = {model.id: model.failures for model in world.models.values()}
    return Before(look(world), frozenset(world.residents), loaded, in_line, frozenset(world.preloads), failures)
