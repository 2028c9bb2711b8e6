"""What must never be seen from outside: the rules that one step can break, judged by effects and by records.

Written apart from `scheduler`, `moves` and `core`, and sharing nothing with them but which models displace which: a
mistake there is no excuse here. What effects say and what records say must agree after every step, so that neither can
lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from . import effects as fx
from . import events as ev
from .effects import Effect
from .patience import Patience
from .recollection import Before
from .residency import Policy
from .settings import ModelId, Settings, Strategy
from .sight import FoulError, Phase, difference, follow, look
from .waiting import Ticket
from .world import World

_PAUSES_FROM: Final = 2
"""Failures in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A step, as the referee looks at it."""

    before: Before
    event: ev.Event
    effects: list[Effect]
    world: World
    fresh: frozenset[ModelId]
    """Who is resident and was not."""
    came: list[Ticket]
    """Who has a seat and stood in line, or has only arrived."""


class Referee:
    """Judges every step of one small world."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        moved: frozenset[ModelId] = frozenset(),
        restart: frozenset[ModelId] = frozenset(),
    ) -> None:
        """Prepare.

        Args:
            settings: in force after the steps that it judges.
            policy: theirs.
            moved: the models whose server had to end when they came into force.
            restart: those of them whose server is another one since.
        """
        self._settings = settings
        self._moved, self._restart = moved, restart
        self._policy = policy
        self._patience = Patience(settings, policy)
        self._displaced_by = {model: policy.displaced_by(model) for model in settings.models}
        self._by_arrival = settings.strategy is Strategy.FIFO

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
        seen, recorded = follow(before.sight, event, effects, self._displaced_by, self._moved), look(world)
        if seen != recorded:
            raise FoulError(f"effects and records disagree: {difference(seen, recorded)}")
        seated = [ticket for model in world.models.values() for ticket in model.seated.values()]
        served, waited = before.sight.served, before.sight.waiting
        turn = Turn(
            before=before,
            event=event,
            effects=effects,
            world=world,
            fresh=frozenset(world.residents) - before.resident,
            came=[t for t in seated if t.id not in served and (t.id in before.in_line or t.id not in waited)],
        )
        for foul in self._fouls(turn):
            raise FoulError(foul)

    def _fouls(self, turn: Turn) -> Iterator[str]:
        yield from self._residency(turn)
        for ticket in turn.came:
            yield from self._seat(turn, ticket)
        yield from self._boosts(turn)
        for effect in turn.effects:
            match effect:
                case fx.StartServer(model=model):
                    yield from self._start(turn, model)
                case fx.StopServer(model=model):
                    yield from self._stop(turn, model)
                case fx.RefuseTicket() | fx.CutSeat():
                    yield from self._refusal(turn, effect)
                case _:
                    pass
        yield from self._arrival(turn)
        yield from _unload(turn)
        yield from self._failures(turn)
        yield from self._patience.fouls(turn.world)

    # Models

    def _residency(self, turn: Turn) -> Iterator[str]:
        """At most one model of those that displace each other, after all others have stopped; rule 13 for preloads."""
        world, before = turn.world, turn.before.sight.servers
        stopping = [(name, group.server) for name, group in world.stopping.items() if group.server is not None]
        still = [server for name, server in stopping if before.get(name) == (server, Phase.STOPPING)]
        for model in turn.fresh:
            for other in world.leaving:
                yield f"{model} is committed though {other} has not left yet"
            for server in self._patience.in_the_way(model, still, world):
                yield f"{model} is committed while {server} is still being stopped"
            for other in world.residents:
                displaced = other != model and self._patience.displaces(model, other, world)
                if displaced and (other not in turn.fresh or self._patience.displaces(other, model, world)):
                    yield f"{model} is resident beside {other}, which it displaces"
            if not world.models[model].seated:
                for rival in _absent(world):
                    if self._patience.displaces(rival.model, model, world):
                        yield f"{model} is preloaded before ticket {rival.id} for {rival.model}"

    def _start(self, turn: Turn, model: ModelId) -> Iterator[str]:
        wanted = turn.before.preloads
        if isinstance(turn.event, ev.PreloadAsked):
            wanted |= frozenset(turn.event.models)
        if not turn.world.models[model].seated and model not in wanted:
            yield f"{model} is loaded for nobody"
        if turn.world.shutting_down:
            yield f"{model} is loaded during the shutdown"

    def _stop(self, turn: Turn, model: ModelId) -> Iterator[str]:
        """Rules 5, 10, 11 and 12: there is a reason for every stop."""
        before, world = turn.before, turn.world
        loaded, chosen, now = before.loaded.get(model), self._settings.models[model], world.clock
        if self._asked_to_go(turn, model) or (loaded is not None and loaded.closing):
            return
        there = before.resident | turn.fresh  # several claims may have been committed, one after the other
        fresh = [ticket for ticket in turn.came if ticket.model in turn.fresh]
        claimants = [t for t in fresh if self._policy.displaces(t.model, model, there - {t.model})]
        if claimants:
            if loaded is None or self._by_arrival:
                return
            idle_since = now if loaded.idle_since == inf else loaded.idle_since
            hold = max(idle_since + chosen.unload_delay_s, loaded.loaded_at + chosen.min_loaded_s)
            if hold > now and not any(self._patience.passes(ticket, model, now) for ticket in claimants):
                yield f"{model} is stopped for ticket {claimants[0].id} though its hold stands"
            return
        if loaded is None or chosen.ttl_s == 0 or loaded.idle_since == inf:
            yield f"{model} is stopped for no reason"
        elif max(loaded.idle_since + chosen.ttl_s, loaded.loaded_at + chosen.min_loaded_s) > now:
            yield f"{model} is stopped before its ttl is over"
        elif any(self._policy.displaces(t.model, model, {*world.residents, model}) for t in _absent(world)):
            yield f"{model} is stopped by its ttl though a rival waits"

    # Tickets

    def _seat(self, turn: Turn, ticket: Ticket) -> Iterator[str]:
        """Rules 1, 3 and 10: nobody is seated whom a rival outranks, nor out of line, nor while an unload is asked."""
        world, before, rank = turn.world, turn.before, self._patience.rank
        now, mine = world.clock, rank(ticket, world.clock)
        loaded = before.loaded.get(ticket.model)
        if loaded is not None and loaded.closing and ticket.model not in turn.fresh:
            yield f"ticket {ticket.id} is seated though {ticket.model} was asked to unload"
        for model in world.models.values():
            for _, _, other in model.line.ranked:
                outranks = rank(other, now) < mine
                absent = model.id not in {*world.residents, *before.resident, *world.leaving}
                if outranks and absent and self._patience.displaces(other.model, ticket.model, world):
                    yield f"ticket {ticket.id} for {ticket.model} is seated though ticket {other.id} outranks it"
                if other.model == ticket.model and (rank(other, now), other.number) < (mine, ticket.number):
                    was = before.in_line.get(other.id)
                    old = None if was is None else (was.rank(now, by_arrival=self._by_arrival), was.number)
                    if old is not None and old < (mine, ticket.number):
                        yield f"ticket {ticket.id} is seated before ticket {other.id}, which is ahead of it in line"

    def _boosts(self, turn: Turn) -> Iterator[str]:
        """When an overdue ticket's claim commits, those who wait for its model then rank with it, and nobody else."""
        for model in turn.world.models.values():
            visits = [t for t in turn.came if t.model == model.id in turn.fresh and t.deadline <= turn.world.clock]
            for _, _, ticket in model.line.ranked:
                was = turn.before.in_line.get(ticket.id)
                if self._by_arrival or was is None:
                    if ticket.boost < inf:
                        yield f"ticket {ticket.id} came later and ranks with an overdue one"
                elif ticket.boost < inf and was.boost == inf and not visits:
                    yield f"ticket {ticket.id} ranks with an overdue one whose claim was not committed"
                elif ticket.boost == inf and visits:
                    yield f"ticket {ticket.id} does not rank with ticket {visits[0].id}, for which {model.id} is loaded"
                if ticket.boost < inf and not model.line.boosted:
                    yield f"nobody will take back that tickets for {model.id} rank with an overdue one"

    def _refusal(self, turn: Turn, effect: fx.RefuseTicket | fx.CutSeat) -> Iterator[str]:
        """Rules 2, 10 and 12: there is a reason for everybody who is not served."""
        if isinstance(turn.event, ev.TicketArrived) and turn.event.ticket == effect.ticket:
            return  # judged by `_arrival`
        sight = turn.before.sight
        model = sight.waiting.get(effect.ticket) or sight.served[effect.ticket]
        loaded = turn.before.loaded.get(model)
        is_cut = isinstance(effect, fx.CutSeat)
        cut_off = is_cut and loaded is not None and loaded.closing
        keeps = isinstance(turn.event, ev.SettingsChanged) or getattr(turn.event, "keep_waiting", False)
        if not cut_off and (not self._asked_to_go(turn, model) or (keeps and not is_cut)):
            yield f"ticket {effect.ticket} for {model} is turned away for no reason"

    def _arrival(self, turn: Turn) -> Iterator[str]:
        """Rules 9 and 12: who is refused at once, and who is not."""
        if not isinstance(turn.event, ev.TicketArrived):
            return
        ticket, world = turn.event.ticket, turn.world
        model = world.models[turn.event.model]
        refused = any(isinstance(effect, fx.RefuseTicket) and effect.ticket == ticket for effect in turn.effects)
        ahead = [other for other in turn.before.in_line.values() if other.model == model.id]
        is_full = len(ahead) >= self._settings.models[model.id].queue_limit
        if world.shutting_down or model.paused_until > world.clock:
            if not refused:
                yield f"ticket {ticket} is taken, though there is a shutdown or {model.id} is given a pause"
        elif refused and not is_full:
            yield f"ticket {ticket} is refused though the line of {model.id} has a place"
        elif not refused and is_full and any(waiting.id == ticket for waiting in model.line):
            yield f"ticket {ticket} stands in the line of {model.id}, which was full"

    def _failures(self, turn: Turn) -> Iterator[str]:
        """Rule 12: failures in a row are counted; from the second on a model is given a pause, waited for by nobody."""
        world = turn.world
        expected = dict(turn.before.failures)
        match turn.event:
            case ev.ServerFailed(group=group):
                failed, phase = turn.before.sight.servers[group]
                if phase is not Phase.STOPPING:
                    expected[failed] += 1
                    model = world.models[failed]
                    paused = model.paused_until > world.clock
                    if paused != (expected[failed] >= _PAUSES_FROM) or (paused and (len(model.line) or model.seated)):
                        yield f"{failed} failed {expected[failed]} times in a row, and has no pause or one too early"
            case ev.TicketServed(ticket=ticket) if ticket in turn.before.sight.served:
                expected[turn.before.sight.served[ticket]] = 0
            case ev.SettingsChanged():
                expected.update(dict.fromkeys(self._restart, 0))
            case _:
                pass
        for model in world.models.values():
            if model.failures != expected[model.id]:
                yield f"{model.id} failed {expected[model.id]} times in a row; the core says {model.failures}"

    def _asked_to_go(self, turn: Turn, model: ModelId) -> bool:
        """Whether what happened was that a model is to be unloaded, or of no use any more."""
        match turn.event:
            case ev.UnloadAsked(models=models):
                return model in models
            case ev.ServerFailed(group=group):
                # The second failure in a row ends the wait of those in line, too.
                return turn.before.sight.servers[group][0] == model
            case ev.SettingsChanged():
                return model in self._moved
            case ev.ShutdownAsked() | ev.ShutdownHurried():
                return True
            case _:
                return False


def _unload(turn: Turn) -> Iterator[str]:
    """Rule 10: who waits is refused, unless that is not wanted; and the shutdown, after which nobody waits."""
    world = turn.world
    for model in world.models.values():
        asked = isinstance(turn.event, ev.UnloadAsked) and model.id in turn.event.models and not turn.event.keep_waiting
        if len(model.line) and (asked or world.shutting_down):
            yield f"ticket {model.line.head.id} still waits for {model.id}, which is unloaded"


def _absent(world: World) -> Iterable[Ticket]:
    for model in world.models.values():
        if model.id not in world.residents and model.id not in world.leaving:
            for _, _, ticket in model.line.ranked:
                yield ticket
