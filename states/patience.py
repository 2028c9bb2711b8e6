"""Rules 3 and 5 derived again, apart from `scheduler`: nobody waits who has nothing to wait for.

A claim waits for whoever outranks it and is in its way, for victims that serve or are held, and for servers that are
being stopped; for nobody else. One of a model that is there waits for a seat, its gate or an unload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from .group import GroupState
from .recollection import Standing
from .residency import Policy
from .settings import GroupId, ModelId, Settings, Strategy
from .waiting import Ticket
from .world import World


class Patience:
    """Judges who waits, in one state after another."""

    def __init__(self, settings: Settings, policy: Policy) -> None:
        self._settings = settings
        self._policy = policy
        self._by_arrival = settings.strategy is Strategy.FIFO

    def fouls(self, world: World) -> Iterator[str]:
        """Everybody who waits for nothing, and every hold that stands against somebody whom it does not bind."""
        first: dict[ModelId, Ticket] = {}
        for model in world.models.values():
            tickets = [ticket for _, _, ticket in model.line.ranked]
            if tickets:
                first[model.id] = min(tickets, key=lambda ticket: (self.rank(ticket, world.clock), ticket.number))
        claiming = {*first} - world.residents.keys() - world.leaving.keys()
        absent = [ticket for name, ticket in first.items() if name in claiming]
        for ticket in first.values():
            there = ticket.model in world.residents
            if ticket.model in world.leaving and not there:
                continue  # it claims nothing before nothing is left of its server
            if not (self._has_to_wait if there else self._claim_has_to_wait)(ticket, absent, world):
                yield f"ticket {ticket.id} for {ticket.model} waits for nothing"
        yield from self._debounce(absent, world)

    def rank(self, ticket: Ticket, now: float) -> tuple[float, float]:
        """Lower is better."""
        return Standing.of(ticket).rank(now, by_arrival=self._by_arrival)

    def displaces(self, wanted: ModelId, model: ModelId, world: World) -> bool:
        """Whether `model` is in the way of `wanted`, as things are."""
        return model in world.leaving or self._policy.displaces(wanted, model, _staying(world))

    def victims(self, wanted: ModelId, world: World) -> list[ModelId]:
        """Who has to leave for `wanted`; what leaves for a change of the configuration is in everybody's way."""
        leaving = [model for model in world.residents if model in world.leaving]
        return [*leaving, *self._policy.victims(wanted, _staying(world))]

    def in_the_way(self, wanted: ModelId, servers: Iterable[ModelId], world: World) -> list[ModelId]:
        """Rule 4: which of the `servers` that are being stopped `wanted` has to wait for."""
        stopping = [*servers]
        leaving = [server for server in stopping if server in world.leaving]
        others = [server for server in stopping if server not in world.leaving]
        return [*leaving, *self._policy.in_the_way(wanted, _staying(world), others)]

    def is_held(self, ticket: Ticket, victim: ModelId, world: World) -> bool:
        """Rule 5."""
        group, chosen = world.models[victim].group, self._settings.models[victim]
        if self._by_arrival or world.models[victim].seated or group.server != victim or not group.loaded:
            return False
        hold = max(group.idle_since + chosen.unload_delay_s, group.loaded_at + chosen.min_loaded_s)
        return hold > world.clock and not self.passes(ticket, victim, world.clock)

    def passes(self, ticket: Ticket, victim: ModelId, now: float) -> bool:
        """Rule 5: whether no hold of `victim` binds the ticket."""
        return ticket.deadline <= now or ticket.priority > self._settings.models[victim].priority

    def _has_to_wait(self, ticket: Ticket, absent: list[Ticket], world: World) -> bool:
        model, mine = world.models[ticket.model], self.rank(ticket, world.clock)
        if model.group.cut_at < inf or len(model.seated) >= self._settings.models[model.id].concurrency:
            return True
        rivals = (rival for rival in absent if self.rank(rival, world.clock) < mine)
        return any(self.displaces(rival.model, model.id, world) for rival in rivals)

    def _claim_has_to_wait(self, ticket: Ticket, absent: list[Ticket], world: World) -> bool:
        victims = self.victims(ticket.model, world)
        if any(world.models[victim].seated or self.is_held(ticket, victim, world) for victim in victims):
            return True
        stopping = [group.server for group in world.groups.values() if group.state is GroupState.UNLOADING]
        if self.in_the_way(ticket.model, [server for server in stopping if server is not None], world):
            return True
        mine, needs = self.rank(ticket, world.clock), self._needs(ticket, world)
        return any(
            self.displaces(rival.model, ticket.model, world) or needs & self._needs(rival, world)
            for rival in absent
            if self.rank(rival, world.clock) < mine
        )

    def _needs(self, ticket: Ticket, world: World) -> set[GroupId]:
        return {world.models[name].group.id for name in (ticket.model, *self.victims(ticket.model, world))}

    def _debounce(self, absent: list[Ticket], world: World) -> Iterator[str]:
        for group in world.groups.values():
            if group.state is not GroupState.DEBOUNCE or group.resident is None:
                continue
            rivals = [rival for rival in absent if self.displaces(rival.model, group.resident, world)]
            if not rivals:
                yield f"{group.resident} is held against nobody"
                continue
            best = min(rivals, key=lambda rival: (self.rank(rival, world.clock), rival.number))
            if self.passes(best, group.resident, world.clock):
                yield f"{group.resident} is held against ticket {best.id}, which need not wait for that"


def _staying(world: World) -> list[ModelId]:
    return [model for model in world.residents if model not in world.leaving]
