"""The discrete counterpart of rule 7's bound: which models come before an observed ticket once it is overdue.

From its deadline on, while its model is not there: no model that it displaces is committed for a ticket that it
outranks, or for nobody, and each at most once. So whoever is committed comes with an earlier deadline (or the same one)
and serves everybody who waited for it then; there are at most as many visits as models with such a deadline, k, besides
the one that was under way, and then its own. A failure or an unload on request of a model lets it come once more.
"""

from __future__ import annotations

from math import inf

from . import events as ev
from .abstraction import Abstraction
from .frames import SLOTS
from .recollection import Before
from .settings import ModelId, Strategy
from .waiting import Ticket
from .world import World


class BoundError(Exception):
    """Somebody came before an overdue ticket who should not; the message is a sentence without a full stop."""


class Visits:
    """Keeps count, in what a state says beyond the core."""

    def __init__(self, abstraction: Abstraction) -> None:
        self._abstraction = abstraction
        scene = abstraction.scene
        crowds = [number for number, crowd in enumerate(scene.crowds) if crowd.observed]
        self._observed: int | None = crowds[0] if scene.settings.strategy is Strategy.FIFO_PLUS and crowds else None
        self._bits: dict[ModelId, int] = {name: 1 << at for at, name in enumerate(abstraction.models)}

    def count(self, before: Before, event: ev.Event, world: World, beyond: bytes) -> bytes:
        """Return what lies beyond the core after a step, with the models that were committed in it.

        Raises:
            BoundError: one of them should not have been.
        """
        if self._observed is None:
            return beyond
        ticket = next((t for t in world.tickets.values() if t.id // SLOTS == self._observed), None)
        if ticket is None or ticket.deadline > world.clock or ticket.id in world.models[ticket.model].seated:
            return self._abstraction.with_visited(beyond, 0)
        visited = self._abstraction.visited(beyond) & ~self._disturbed(event, world)
        if world.models[ticket.model].resident:
            # It waits for a seat: whoever comes beside its model is not in its way.
            return self._abstraction.with_visited(beyond, visited)
        for model in frozenset(world.residents) - before.resident:
            if world.displaces(ticket.model, model):
                _assert_goes_first(ticket, model, world)
                if visited & self._bits[model]:
                    raise BoundError(f"{model} is loaded again before overdue ticket {ticket.id} for {ticket.model}")
                visited |= self._bits[model]
        return self._abstraction.with_visited(beyond, visited)

    def _disturbed(self, event: ev.Event, world: World) -> int:
        match event:
            case ev.UnloadAsked(models=models):
                return sum(self._bits[model] for model in set(models))
            case ev.ServerFailed(group=group):
                return sum(bit for model, bit in self._bits.items() if world.models[model].group.id == group)
            case ev.SettingsChanged():
                return sum(self._bits.values())
            case _:
                return 0


def _assert_goes_first(overdue: Ticket, model: ModelId, world: World) -> None:
    seated = list(world.models[model].seated.values())
    if not any(_deadline(ticket, world.clock) <= overdue.deadline for ticket in seated):
        whom = f"ticket {seated[0].id}" if seated else "nobody"
        raise BoundError(f"{model} is loaded for {whom} before overdue ticket {overdue.id} for {overdue.model}")


def _deadline(ticket: Ticket, now: float) -> float:
    return ticket.deadline if ticket.deadline <= now else inf
