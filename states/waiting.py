"""Who waits: tickets, their rank, and the line of those that wait for one model.

A rank is a pair that compares: the lower one outranks, equal ones do not outrank each other.

    fifo    (0, number of arrival)
    fifo+   (0, deadline) when overdue, else (1, -priority)
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from .settings import ModelId, Strategy, TicketId


class Rank(NamedTuple):
    """Who goes before whom; `a < b` says that a outranks b."""

    tier: int
    order: float


@dataclass(slots=True, eq=False)
class Ticket:
    """One admitted client request."""

    id: TicketId
    model: ModelId
    priority: int
    arrived_at: float
    number: int
    """Of arrival, in this core: breaks ties."""
    deadline: float
    """The time from which on it is overdue; inf: never."""
    rank: Rank
    own_priority: int | None = None
    """What it arrived with; None: its priority is its model's."""
    boost: float = inf
    """The deadline of the overdue ticket that it ranks with, while its model is resident; inf: none."""
    granted_at: float | None = None
    """When its seat could be used: its model was loaded. None while it waits or its model loads."""

    def rank_at(self, now: float, strategy: Strategy) -> Rank:
        """The rank that it has at `now`."""
        if strategy is Strategy.FIFO:
            return Rank(0, self.number)
        overdue = min(self.boost, self.deadline if self.deadline <= now else inf)
        return Rank(0, overdue) if overdue < inf else Rank(1, -self.priority)


@dataclass(slots=True)
class Line:
    """The tickets that wait for one model, in queue order: by rank, ties by arrival."""

    ranked: list[tuple[Rank, int, Ticket]] = field(default_factory=list)
    """Sorted; the number of arrival is unique, so tickets are never compared."""
    due: list[tuple[float, int, Ticket]] = field(default_factory=list)
    """Those of them that are not overdue yet and will be, by deadline."""
    next_due: float = inf
    """When the first of those becomes overdue; inf: none will. Asked after every event of every line, so it is kept."""
    boosted: bool = False
    """Somebody who waits or waited here may rank with an overdue ticket; else nobody does, and nobody need look."""

    def __len__(self) -> int:
        return len(self.ranked)

    def __iter__(self) -> Iterator[Ticket]:
        return (ticket for _, _, ticket in self.ranked)

    @property
    def head(self) -> Ticket:
        """The first in line; there must be one."""
        return self.ranked[0][2]

    def add(self, ticket: Ticket, now: float) -> None:
        """Put the ticket where its rank says."""
        insort(self.ranked, (ticket.rank, ticket.number, ticket))
        if now < ticket.deadline < inf:
            insort(self.due, (ticket.deadline, ticket.number, ticket))
            self.next_due = self.due[0][0]

    def remove(self, ticket: Ticket) -> None:
        """Take the ticket out; it must be there."""
        del self.ranked[bisect_left(self.ranked, (ticket.rank, ticket.number))]
        place = bisect_left(self.due, (ticket.deadline, ticket.number))
        if place < len(self.due) and self.due[place][2] is ticket:
            del self.due[place]
            self.next_due = self.due[0][0] if self.due else inf

    def rerank(self, ticket: Ticket, now: float, strategy: Strategy) -> None:
        """Move the ticket to the place that its rank at `now` gives it."""
        self.remove(ticket)
        ticket.rank = ticket.rank_at(now, strategy)
        self.add(ticket, now)

    def rebuild(self, now: float, strategy: Strategy) -> None:
        """Put everybody where rank and deadline say that were just changed."""
        tickets, self.ranked, self.due, self.next_due = list(self), [], [], inf
        for ticket in tickets:
            ticket.rank = ticket.rank_at(now, strategy)
            self.add(ticket, now)

    def mark_overdue(self, now: float, strategy: Strategy) -> bool:
        """Give the tickets whose deadline has come the rank of overdue ones, and say whether that changed the head."""
        first = self.ranked[0]
        while self.next_due <= now:
            self.rerank(self.due[0][2], now, strategy)
        return self.ranked[0] is not first

    def boost(self, deadline: float, now: float, strategy: Strategy) -> None:
        """Let everybody who waits here now rank with a ticket of that deadline; inf takes it back."""
        self.boosted = deadline < inf
        for ticket in list(self):
            ticket.boost = deadline
            self.rerank(ticket, now, strategy)
