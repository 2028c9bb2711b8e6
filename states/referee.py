"""What must never be seen from outside: the rules that one step can break, judged by effects and by records.

Written apart from `scheduler`, `moves` and `core`, and sharing nothing with them: a mistake there is no excuse here.
What effects say and what records say must agree after every step, so that neither can lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from . import effects as fx
from . import events as ev
from .effects import Effect
from .group import LOADED, GroupState
from .settings import GroupId, ModelId, Settings, Strategy, TicketId
from .sight import DisplacedBy, FoulError, Sight, difference, follow, look
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


class Referee:
    """Judges every step of one small world."""

    def __init__(self, settings: Settings, displaced_by: DisplacedBy) -> None:
        self._settings = settings
        self._displaced_by = displaced_by
        self._by_arrival = settings.strategy is Strategy.FIFO

    def remember(self, world: World, seen: Before | None = None) -> Before:
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
        in_line = {
            ticket.id: _standing(ticket) for model in world.models.values() for _, _, ticket in model.line.ranked
        }
        if seen is not None:
            return Before(seen.sight, seen.resident, loaded, in_line, seen.preloads)
        return Before(look(world), frozenset(world.residents), loaded, in_line, frozenset(world.preloads))

    def judge(self, before: Before, event: ev.Event, effects: list[Effect], world: World) -> None:
        """Assert that a step was right.

        Args:
            before: what `remember` saw.
            event: what happened.
            effects: what is to be done about it, says the core.
            world: the core's, after it.

        Raises:
            FoulError: it was not.
        """
        seen, recorded = follow(before.sight, event, effects, self._displaced_by), look(world)
        if seen != recorded:
            raise FoulError(f"effects and records disagree: {difference(seen, recorded)}")
        for foul in self._fouls(before, event, effects, world):
            raise FoulError(foul)

    def _fouls(self, before: Before, event: ev.Event, effects: list[Effect], world: World) -> Iterator[str]:
        now = world.clock
        fresh = frozenset(world.residents) - before.resident
        seated = [ticket for model in world.models.values() for ticket in model.seated.values()]
        served = before.sight.served
        wanted = before.preloads | (frozenset(event.models) if isinstance(event, ev.PreloadAsked) else frozenset())
        waited = before.sight.waiting
        came = [t for t in seated if t.id not in served and (t.id in before.in_line or t.id not in waited)]
        yield from self._residency(fresh, world)
        for ticket in came:
            yield from self._seat(before, ticket, world)
        for effect in effects:
            if isinstance(effect, fx.StartServer):
                if not world.models[effect.model].seated and effect.model not in wanted:
                    yield f"{effect.model} is loaded for nobody"
            elif isinstance(effect, fx.StopServer):
                yield from self._stop(before, event, effect.model, came, world)
        for model in world.models.values():
            for _, _, ticket in model.line.ranked:
                yield from self._boost(before, ticket, came if model.id in fresh else [], now)
        yield from self._debounce(world)

    def _residency(self, fresh: frozenset[ModelId], world: World) -> Iterator[str]:
        for model in fresh:
            for other in world.residents:
                displaced = other in self._displaced_by[model]
                if displaced and (other not in fresh or model in self._displaced_by[other]):
                    yield f"{model} is resident beside {other}, which it displaces"

    def _seat(self, before: Before, ticket: Ticket, world: World) -> Iterator[str]:
        """Rules 1 and 3: nobody is seated whom somebody outranks that cannot be there too, nor out of line."""
        now, mine = world.clock, self._rank(_standing(ticket), world.clock)
        for model in world.models.values():
            for _, _, other in model.line.ranked:
                theirs = self._rank(_standing(other), now)
                rival = ticket.model in self._displaced_by[other.model]
                if rival and not model.resident and model.id not in before.resident and theirs < mine:
                    yield f"ticket {ticket.id} for {ticket.model} is seated though ticket {other.id} outranks it"
                if other.model == ticket.model:
                    was = before.in_line.get(other.id)
                    ahead = (theirs, other.number) < (mine, ticket.number)
                    if was is not None and ahead and (self._rank(was, now), was.number) < (mine, ticket.number):
                        yield f"ticket {ticket.id} is seated before ticket {other.id}, which is ahead of it in line"

    def _stop(self, before: Before, event: ev.Event, model: ModelId, came: list[Ticket], world: World) -> Iterator[str]:
        """Rules 5, 10, 11 and 12: there is a reason for every stop."""
        loaded, chosen, now = before.loaded.get(model), self._settings.models[model], world.clock
        if _asked_to_go(event, model, world) or (loaded is not None and loaded.closing):
            return
        claimants = [t for t in came if t.model not in before.resident and model in self._displaced_by[t.model]]
        if claimants:
            if loaded is None or self._by_arrival:
                return
            idle_since = now if loaded.idle_since == inf else loaded.idle_since
            hold = max(idle_since + chosen.unload_delay_s, loaded.loaded_at + chosen.min_loaded_s)
            may = any(t.deadline <= now or t.priority > chosen.priority for t in claimants)
            if hold > now and not may:
                yield f"{model} is stopped for ticket {claimants[0].id} though its hold stands"
            return
        if loaded is None or chosen.ttl_s == 0 or loaded.idle_since == inf:
            yield f"{model} is stopped for no reason"
        elif max(loaded.idle_since + chosen.ttl_s, loaded.loaded_at + chosen.min_loaded_s) > now:
            yield f"{model} is stopped before its ttl is over"
        elif any(model in self._displaced_by[t.model] for t in _absent(world)):
            yield f"{model} is stopped by its ttl though a rival waits"

    def _boost(self, before: Before, ticket: Ticket, claimants: list[Ticket], now: float) -> Iterator[str]:
        """When an overdue ticket's claim commits, those who wait for its model then rank with it, and nobody else."""
        was = before.in_line.get(ticket.id)
        if self._by_arrival or was is None:
            if ticket.boost < inf:
                yield f"ticket {ticket.id} came later and ranks with an overdue one"
            return
        visits = [t for t in claimants if t.model == ticket.model and t.deadline <= now]
        if ticket.boost < inf and was.boost == inf and not visits:
            yield f"ticket {ticket.id} ranks with an overdue one whose claim was not committed"
        if ticket.boost == inf and visits:
            yield f"ticket {ticket.id} does not rank with ticket {visits[0].id}, for which its model is loaded"

    def _debounce(self, world: World) -> Iterator[str]:
        """Rule 5: a hold stands only against those who are not overdue and whose priority is not higher."""
        for group in world.groups.values():
            if group.state is not GroupState.DEBOUNCE or group.resident is None:
                continue
            rivals = [t for t in _absent(world) if group.resident in self._displaced_by[t.model]]
            if not rivals:
                yield f"{group.resident} is held against nobody"
                continue
            first = min(rivals, key=lambda t: (self._rank(_standing(t), world.clock), t.number))
            overdue = first.deadline <= world.clock
            if overdue or first.priority > self._settings.models[group.resident].priority:
                yield f"{group.resident} is held against ticket {first.id}, which need not wait for that"
        for model in world.models.values():
            if not model.line.boosted and any(t.boost < inf for _, _, t in model.line.ranked):
                yield f"nobody will take back that tickets for {model.id} rank with an overdue one"

    def _rank(self, standing: Standing, now: float) -> tuple[float, float]:
        return standing.rank(now, by_arrival=self._by_arrival)


def _asked_to_go(event: ev.Event, model: ModelId, world: World) -> bool:
    match event:
        case ev.UnloadAsked(models=models):
            return model in models
        case ev.ServerFailed(group=group):
            return world.models[model].group.id == group
        case ev.ShutdownAsked() | ev.ShutdownHurried():
            return True
        case _:
            return False


def _absent(world: World) -> Iterator[Ticket]:
    for model in world.models.values():
        if model.group.resident != model.id:
            for _, _, ticket in model.line.ranked:
                yield ticket


def _standing(ticket: Ticket) -> Standing:
    return Standing(ticket.id, ticket.model, ticket.priority, ticket.number, ticket.deadline, ticket.boost)
