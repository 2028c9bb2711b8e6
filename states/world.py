"""Everything the core knows, as plain records: what the rules read and `Core` alone changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from math import inf

from .estimates import Estimates
from .events import AskerId
from .group import Group
from .residency import policy_of
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
    surplus: int = 0
    """Tickets that are seated above `concurrency` because the settings were changed; it only gets less."""
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
        self.policy = policy_of(settings)
        self.clock = -inf
        self.groups: dict[GroupId, Group] = {}
        self.models: dict[ModelId, Model] = {}
        for model, chosen in settings.models.items():
            home = self.policy.group_of[model]
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
        self.leaving: dict[ModelId, Model] = {}
        """The models whose server is to end because the configuration changed; they are on their old group's record."""
        self.shutting_down = False

    @property
    def holds_count(self) -> bool:
        """Whether holds and deadlines play a part."""
        return self.settings.strategy is Strategy.FIFO_PLUS

    def deadline_of(self, model: Model, arrived_at: float) -> float:
        """When a ticket that arrived then becomes overdue; inf: never."""
        return arrived_at + model.settings.max_wait_s if self.holds_count and model.settings.max_wait_s > 0 else inf

    def absent_heads(self) -> Iterator[Ticket]:
        """The first in line of each model that is not resident: who claims, and who can be a rival.

        A model that leaves because the configuration changed claims nothing before nothing is left of it.
        """
        absent = (model for model in self.waiting.values() if not model.resident)
        return (model.line.head for model in absent if model.id not in self.leaving)

    def contenders(self) -> list[Ticket]:
        """Of each process group, whoever is first among those heads, in queue order.

        The models of a process group displace the same others, and are displaced alike: whatever is in the way of its
        first one is in the way of all, and whoever is outranked by any of them is outranked by the first.
        """
        first: dict[GroupId, tuple[Rank, int, Ticket]] = {}
        for model in self.waiting.values():
            group, entry = model.group, model.line.ranked[0]
            if group.resident == model.id or model.id in self.leaving:
                continue
            if group.id not in first or entry < first[group.id]:
                first[group.id] = entry
        return [ticket for _, _, ticket in sorted(first.values())]

    # The residency policy, and beside it: what leaves because the configuration changed is in everybody's way.

    def victims(self, wanted: ModelId) -> tuple[Model, ...]:
        """The resident models that must leave for `wanted`."""
        gone = self.leaving.keys() | self.policy.victims(wanted, self._staying())
        return tuple(model for model in self.residents.values() if model.id in gone)

    def displaces(self, wanted: ModelId, model: ModelId) -> bool:
        """Whether `model`, were it there, would stand in the way of `wanted`."""
        return model in self.leaving or self.policy.displaces(wanted, model, self._staying())

    def in_the_way(self, wanted: ModelId) -> Iterator[ModelId]:
        """The models being unloaded that must have stopped before `wanted`, itself perhaps, can be committed."""
        servers = [group.server for group in self.stopping.values() if group.server is not None]
        yield from (server for server in servers if server in self.leaving)
        yield from self.policy.in_the_way(
            wanted, self._staying(), [server for server in servers if server not in self.leaving]
        )

    def _staying(self) -> Collection[ModelId]:
        return self.residents.keys() - self.leaving.keys() if self.leaving else self.residents.keys()
