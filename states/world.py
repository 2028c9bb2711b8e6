"""Everything the core knows, as plain records: what the rules read and `Core` alone changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from .estimates import Estimates
from .events import AskerId
from .group import Group
from .residency import Residency
from .settings import GroupId, ModelId, ModelSettings, Settings, Strategy, TicketId
from .waiting import Line, Rank, Ticket


@dataclass(slots=True)
class Model:
    """The record of a model."""

    id: ModelId
    settings: ModelSettings
    group: Group
    line: Line = field(default_factory=Line)
    seated: dict[TicketId, Ticket] = field(default_factory=dict)
    failures: int = 0
    """In a row, since a ticket was last served."""
    last_failure: str = ""
    """In the words of whoever saw it."""
    paused_until: float = -inf
    estimates: Estimates = field(default_factory=Estimates)

    @property
    def resident(self) -> bool:
        """Whether it is committed, loading or loaded."""
        return self.group.resident == self.id

    @property
    def has_free_seat(self) -> bool:
        """Whether another ticket could be seated, were it resident."""
        return len(self.seated) < self.settings.concurrency

    @property
    def in_place(self) -> bool:
        """Whether it is resident and its server has been started."""
        return self.group.resident == self.id == self.group.server


class World:
    """The records, and the collections derived from them (`invariants` derives them again)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.residency = Residency(settings)
        self.clock = -inf
        self.groups: dict[GroupId, Group] = {}
        self.models: dict[ModelId, Model] = {}
        for model, chosen in settings.models.items():
            home = self.residency.group_of[model]
            group = self.groups.setdefault(home, Group(id=home))
            self.models[model] = Model(id=model, settings=chosen, group=group)
        self.tickets: dict[TicketId, Ticket] = {}
        """Waiting and seated ones."""
        self.arrivals = 0
        self.waiting: dict[ModelId, Model] = {}
        """Derived: the models with somebody in line."""
        self.residents: dict[ModelId, Model] = {}
        """Derived: the resident models."""
        self.stopping: dict[GroupId, Group] = {}
        """Derived: the groups whose server is being stopped."""
        self.unloads: dict[AskerId, set[ModelId]] = {}
        """Who asked for unloads, and whose servers they still wait for."""
        self.preloads: list[ModelId] = []
        self.shutting_down = False

    @property
    def holds_count(self) -> bool:
        """Whether holds and deadlines play a part."""
        return self.settings.strategy is Strategy.FIFO_PLUS

    def absent_heads(self) -> Iterator[Ticket]:
        """The first in line of each model that is not resident: who claims, and who can be a rival."""
        return (model.line.head for model in self.waiting.values() if not model.resident)

    def contenders(self) -> list[Ticket]:
        """Of each process group, whoever is first among those heads, in queue order.

        The models of a process group displace the same others, and are displaced alike: whatever is in the way of its
        first one is in the way of all, and whoever is outranked by any of them is outranked by the first.
        """
        first: dict[GroupId, tuple[Rank, int, Ticket]] = {}
        for model in self.waiting.values():
            group, entry = model.group, model.line.ranked[0]
            if group.resident != model.id and (group.id not in first or entry < first[group.id]):
                first[group.id] = entry
        return [ticket for _, _, ticket in sorted(first.values())]
