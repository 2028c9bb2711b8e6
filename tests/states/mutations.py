"""Ways of breaking the core on purpose, and what notices each. The subject is whoever checks: nothing here is a fake.

Each breaks one function, on one world of `listed_worlds` or a small one of its own, and is found after so many steps.
"""

# ruff: noqa: ARG005 (what stands in for a function takes what that one takes)

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Any, NamedTuple

import pytest

from states import core, scheduler
from states import events as ev
from states.core import Core
from states.effects import RefusalCode
from states.exploration import Caught, ViolationError, explore
from states.group import Group, GroupMachine, GroupState, Pressure, Signal
from states.moves import Moves
from states.promises import assert_ends, starvation
from states.reasons import Held, InFlight, Outranked, Stopping
from states.reconfiguring import reconfigure
from states.waiting import Line, Rank, Ticket
from states.world import Model, World

from .listed_worlds import ALL

Patch = Callable[[Any, str, Any], None]
"""`monkeypatch.setattr`."""


class Mutation(NamedTuple):
    """One way of breaking the core."""

    breaks: Callable[[Patch], None]
    about: str
    world: str
    """On which it is looked for."""
    caught: Caught
    steps: int
    """From the beginning to what is noticed."""

    @property
    def name(self) -> str:
        return self.breaks.__name__.strip("_")


def look_for(breaks: Callable[[Patch], None], world: str) -> ViolationError | None:
    """Break the core, explore, and return what was found, if anything; the core is whole again then."""
    with pytest.MonkeyPatch.context() as patch:
        breaks(patch.setattr)
        for scene in ALL[world].scenes():
            try:
                explored = explore(scene)
                if scene.observed is None:
                    assert_ends(explored)
                else:
                    starvation(explored)
            except ViolationError as error:
                return error
    return None


def row(mutation: Mutation) -> str:
    """A mutation as a line of the table in docs/verification.md."""
    return f"| {mutation.about} | `{mutation.world}` | {mutation.caught.value} | {mutation.steps} |"


# The gate and the ranks


def _gate_never_closes(patch: Patch) -> None:
    patch(scheduler, "shut_by", lambda world, ticket: None)


def _hold_ignores_priority(patch: Patch) -> None:
    patch(scheduler, "bypass", lambda world, ticket, victim: "overdue" if ticket.rank.tier == 0 else None)


def _hold_ignores_deadlines(patch: Patch) -> None:
    def bypass(world: World, ticket: Ticket, victim: Model) -> str | None:
        return "priority" if ticket.priority > victim.settings.priority else None

    patch(scheduler, "bypass", bypass)


def _hold_never_stands(patch: Patch) -> None:
    patch(scheduler, "held_until", lambda world, model: -inf)


def _hold_never_ends(patch: Patch) -> None:
    held_until = scheduler.held_until
    patch(scheduler, "held_until", lambda world, model: inf if held_until(world, model) > -inf else -inf)


def _hold_does_not_restart(patch: Patch) -> None:
    unseat = Moves.unseat

    def keep(self: Moves, ticket: Ticket) -> None:
        group = self._world.models[ticket.model].group
        since = group.idle_since
        unseat(self, ticket)
        group.idle_since = since

    patch(Moves, "unseat", keep)


def _overdue_not_ranked(patch: Patch) -> None:
    patch(Ticket, "rank_at", lambda self, now, strategy: Rank(1, -self.priority))


def _never_overdue(patch: Patch) -> None:
    patch(World, "deadline_of", lambda self, model, arrived_at: inf)


def _priority_ignored(patch: Patch) -> None:
    rank_at = Ticket.rank_at

    def flat(self: Ticket, now: float, strategy: Any) -> Rank:
        rank = rank_at(self, now, strategy)
        return rank if rank.tier == 0 else Rank(1, 0)

    patch(Ticket, "rank_at", flat)


def _fifo_by_priority(patch: Patch) -> None:
    patch(Ticket, "rank_at", lambda self, now, strategy: Rank(0, -self.priority))


def _line_unsorted(patch: Patch) -> None:
    add = Line.add

    def append(self: Line, ticket: Ticket, now: float) -> None:
        add(self, ticket, now)
        entry = (ticket.rank, ticket.number, ticket)
        self.ranked.remove(entry)
        self.ranked.append(entry)

    patch(Line, "add", append)


def _latecomers_boosted(patch: Patch) -> None:
    enqueue = Moves.enqueue

    def boosted(self: Moves, ticket: Ticket) -> None:
        line = self._world.models[ticket.model].line
        if line.boosted and len(line):
            ticket.boost = line.head.boost
        enqueue(self, ticket)

    patch(Moves, "enqueue", boosted)


def _nobody_boosted(patch: Patch) -> None:
    patch(Line, "boost", lambda self, deadline, now, strategy: None)


def _boost_kept(patch: Patch) -> None:
    boost = Line.boost

    def only_on(self: Line, deadline: float, now: float, strategy: Any) -> None:
        if deadline < inf:
            boost(self, deadline, now, strategy)

    patch(Line, "boost", only_on)


# Claims and commits


def _claims_made(patch: Patch, change: Callable[[scheduler.Claim], scheduler.Claim]) -> None:
    claim = scheduler._claim
    patch(scheduler, "_claim", lambda world, ticket, earlier: change(claim(world, ticket, earlier)))


def _without(*kinds: type) -> Callable[[scheduler.Claim], scheduler.Claim]:
    def change(claim: scheduler.Claim) -> scheduler.Claim:
        kept = tuple(obstacle for obstacle in claim.obstacles if not isinstance(obstacle, kinds))
        return scheduler.Claim(ticket=claim.ticket, victims=claim.victims, footprint=claim.footprint, obstacles=kept)

    return change


def _stop_while_serving(patch: Patch) -> None:
    _claims_made(patch, _without(InFlight))


def _claim_of_the_outranked(patch: Patch) -> None:
    _claims_made(patch, _without(Outranked))


def _commit_amid_a_stop(patch: Patch) -> None:
    _claims_made(patch, _without(Stopping))


def _head_of_line(patch: Patch) -> None:
    def anybody(world: World, ticket: Ticket, footprint: object, earlier: list[scheduler.Claim]) -> list[Outranked]:
        ahead = [claim.ticket for claim in earlier if claim.ticket.rank < ticket.rank]
        return [scheduler.outranked(world, first, ticket) for first in ahead[:1]]

    patch(scheduler, "_outranked", anybody)


def _not_all_victims(patch: Patch) -> None:
    victims = World.victims
    patch(World, "victims", lambda self, wanted: victims(self, wanted)[:1])


def _load_before_victims_stopped(patch: Patch) -> None:
    take = Moves._take_group
    patch(Moves, "_take_group", lambda self, model, awaiting: take(self, model, frozenset()))


def _two_claims_in_one_group(patch: Patch) -> None:
    """A committed model whose load has not begun is no obstacle."""
    claim = scheduler._claim

    def hasty(world: World, ticket: Ticket, earlier: list[scheduler.Claim]) -> scheduler.Claim:
        made = claim(world, ticket, earlier)
        if any(victim.group.committed for victim in made.victims):
            return _without(InFlight, Stopping, Held)(made)
        return made

    patch(scheduler, "_claim", hasty)


def _committed_for_nobody(patch: Patch) -> None:
    patch(Core, "_drop_unwanted", lambda self: False)


def _nobody_looks_again_after_a_drop(patch: Patch) -> None:
    drop = Core._drop_unwanted

    def once(self: Core) -> bool:
        drop(self)
        return False

    patch(Core, "_drop_unwanted", once)


def _dropped_passengers(patch: Patch) -> None:
    patch(Moves, "_put_back", lambda self, model: model.seated.clear())


# Seats and lines


def _seat_not_returned(patch: Patch) -> None:
    unseat = Moves.unseat

    def keep(self: Moves, ticket: Ticket) -> None:
        if ticket.granted_at is None:
            unseat(self, ticket)

    patch(Moves, "unseat", keep)


def _claim_not_withdrawn(patch: Patch) -> None:
    end = Core._end

    def deaf(self: Core, ticket_id: Any, *, served: bool) -> bool:
        ticket = self.world.tickets.get(ticket_id)
        waits = ticket is not None and ticket.id not in self.world.models[ticket.model].seated
        return False if waits else end(self, ticket_id, served=served)

    patch(Core, "_end", deaf)


def _nobody_looks_again(patch: Patch) -> None:
    end = Core._end

    def once(self: Core, ticket_id: Any, *, served: bool) -> bool:
        end(self, ticket_id, served=served)
        return False

    patch(Core, "_end", once)


def _victim_revived(patch: Patch) -> None:
    def seatable(world: World, model: Model, ticket: Ticket) -> bool:
        return model.group.server == model.id and model.has_free_seat and scheduler.shut_by(world, ticket) is None

    def seat(self: Core) -> None:
        for model in self.world.models.values():
            self._seat_in(model)

    patch(scheduler, "seatable", seatable)
    patch(Core, "_seat", seat)


def _too_many_seats(patch: Patch) -> None:
    patch(Model, "has_free_seat", property(lambda self: len(self.seated) <= self.settings.concurrency))


def _queue_limit_ignored(patch: Patch) -> None:
    turn_away = Core._turn_away

    def generous(self: Core, model: Model, ticket: Ticket) -> Any:
        refusal = turn_away(self, model, ticket)
        return None if refusal is not None and refusal.code is RefusalCode.QUEUE_FULL else refusal

    patch(Core, "_turn_away", generous)


# Time


def _holds_end_unnoticed(patch: Patch) -> None:
    def only_ttl(self: Core) -> float:
        ends = [scheduler.expires_at(model) for model in self.world.residents.values()]
        return min([*ends, *(model.group.cut_at for model in self.world.residents.values())], default=inf)

    patch(Core, "_next_timer", only_ttl)


def _deadlines_pass_unnoticed(patch: Patch) -> None:
    patch(Core, "next_deadline", lambda self: self._next_timer())


def _ttl_ignores_min_loaded(patch: Patch) -> None:
    def hasty(model: Model) -> float:
        group, chosen = model.group, model.settings
        idle = group.loaded and group.pressure is Pressure.NONE and not model.seated
        return group.idle_since + chosen.ttl_s if chosen.ttl_s > 0 and idle else inf

    patch(scheduler, "expires_at", hasty)


def _ttl_ignores_rivals(patch: Patch) -> None:
    def deaf(model: Model) -> float:
        group, chosen = model.group, model.settings
        if chosen.ttl_s <= 0 or not group.loaded or model.seated:
            return inf
        return max(group.idle_since + chosen.ttl_s, group.loaded_at + chosen.min_loaded_s)

    def leave_as_if_evicted(self: Core) -> bool:
        expired = [model for model in self.world.residents.values() if deaf(model) <= self.world.clock]
        for model in expired:
            self._moves.leave(model, Signal.EVICTED, "idle")
        return bool(expired)

    patch(scheduler, "expires_at", deaf)
    patch(Core, "_expire", leave_as_if_evicted)


def _nobody_looks_again_after_a_ttl(patch: Patch) -> None:
    expire = Core._expire

    def once(self: Core) -> bool:
        expire(self)
        return False

    patch(Core, "_expire", once)


# Changes of the configuration


def _leaving_in_nobodys_way(patch: Patch) -> None:
    def only_policy(self: World, wanted: Any) -> Iterator[Any]:
        servers = [group.server for group in self.stopping.values() if group.server is not None]
        return self.policy.in_the_way(wanted, self._staying(), servers)

    patch(World, "in_the_way", only_policy)


def _leaving_claims(patch: Patch) -> None:
    def everybody(self: World) -> list[Ticket]:
        heads = [model.line.head for model in self.waiting.values() if not model.resident]
        return sorted(heads, key=lambda head: (head.rank, head.number))

    patch(World, "contenders", everybody)


def _changed_line_refused(patch: Patch) -> None:
    gone = core.gone

    def and_refuse(world: World, moves: Moves, event: ev.SettingsChanged) -> list[Model]:
        ended = reconfigure(world, moves, event)
        for model in ended:
            moves.refuse_line(model, gone(model.id))
        return ended

    patch(core, "reconfigure", and_refuse)


def _failures_kept_over_a_restart(patch: Patch) -> None:
    def unforgiving(world: World, moves: Moves, event: ev.SettingsChanged) -> list[Model]:
        failures = {model.id: model.failures for model in world.models.values()}
        ended = reconfigure(world, moves, event)
        for model in world.models.values():
            model.failures = failures[model.id]
        return ended

    patch(core, "reconfigure", unforgiving)


# Servers, unloads, preloads


def _failed_load_tried_for_ever(patch: Patch) -> None:
    def again(self: Moves, group: Group, failure: Any, detail: str) -> None:
        model = self._world.models[group.server]  # type: ignore[index]
        self._put_back(model)
        self.leave(model, Signal.FAILED, detail, 0.0)

    patch(Moves, "fail", again)


def _no_pause(patch: Patch) -> None:
    fail = Moves.fail

    def tireless(self: Moves, group: Group, failure: Any, detail: str) -> None:
        fail(self, group, failure, detail)
        for model in self._world.models.values():
            model.paused_until = -inf

    patch(Moves, "fail", tireless)


def _failures_not_forgiven(patch: Patch) -> None:
    end = Core._end

    def unforgiving(self: Core, ticket_id: Any, *, served: bool) -> bool:
        failures = {model.id: model.failures for model in self.world.models.values()}
        changed = end(self, ticket_id, served=served)
        for model in self.world.models.values():
            model.failures = failures[model.id]
        return changed

    patch(Core, "_end", unforgiving)


def _stop_said_twice(patch: Patch) -> None:
    leave = Moves.leave

    def twice(self: Moves, model: Model, signal: Signal, cause: str, grace_s: float | None = None) -> None:
        leave(self, model, signal, cause, grace_s)
        self.effects.append(next(effect for effect in self.effects if type(effect).__name__ == "StopServer"))

    patch(Moves, "leave", twice)


def _confirmed_too_early(patch: Patch) -> None:
    patch(Core, "_await_stops", lambda self, asker, models: _confirm_at_once(self, asker))


def _confirm_at_once(core: Core, asker: ev.AskerId) -> None:
    core.world.unloads[asker] = set()
    core._moves.confirm(asker)


def _never_confirmed(patch: Patch) -> None:
    patch(Moves, "confirm", lambda self, asker: None)


def _gate_open_amid_an_unload(patch: Patch) -> None:
    def seatable(world: World, model: Model, ticket: Ticket) -> bool:
        return model.resident and model.has_free_seat and scheduler.shut_by(world, ticket) is None

    patch(scheduler, "seatable", seatable)


def _arrivals_amid_a_shutdown(patch: Patch) -> None:
    turn_away = Core._turn_away

    def hospitable(self: Core, model: Model, ticket: Ticket) -> Any:
        return None if self.world.shutting_down else turn_away(self, model, ticket)

    patch(Core, "_turn_away", hospitable)


def _preload_displaces(patch: Patch) -> None:
    may_preload = scheduler.may_preload

    def pushy(world: World, model: Model, made: list[scheduler.Claim]) -> scheduler.Preload:
        verdict = may_preload(world, model, made)
        free = model.group.state is GroupState.IDLE
        return scheduler.Preload.NOW if verdict is scheduler.Preload.NEVER and free else verdict

    patch(scheduler, "may_preload", pushy)


def _preload_before_tickets(patch: Patch) -> None:
    may_preload = scheduler.may_preload
    patch(scheduler, "may_preload", lambda world, model, made: may_preload(world, model, []))


def _ready_under_pressure(patch: Patch) -> None:
    """The machine's own mistake: it takes every model that is ready to be wanted by nobody else."""
    patch(GroupMachine, "unpressed", lambda self: self.model.group.pressure is not Pressure.HELD)
    patch(GroupMachine, "blocked", lambda self: False)


MUTATIONS = (
    Mutation(
        _gate_never_closes,
        "the gate never closes: whoever wants a model that is there is seated",
        "swap",
        Caught.REFEREE,
        4,
    ),
    Mutation(
        _gate_open_amid_an_unload,
        "the gate stays open while a model is unloaded on request",
        "unload-seats",
        Caught.REFEREE,
        4,
    ),
    Mutation(_hold_ignores_priority, "a hold stands against higher priorities", "swap", Caught.REFEREE, 4),
    Mutation(_hold_ignores_deadlines, "a hold stands against overdue tickets", "swap", Caught.REFEREE, 5),
    Mutation(_hold_never_stands, "no hold stands against anybody", "swap", Caught.REFEREE, 4),
    Mutation(_hold_never_ends, "a hold stands for ever", "swap", Caught.REFEREE, 4),
    Mutation(
        _hold_does_not_restart, "a hold is not started anew when the last seat is given back", "swap", Caught.REFEREE, 4
    ),
    Mutation(_overdue_not_ranked, "overdue tickets rank like all others", "swap", Caught.REFEREE, 5),
    Mutation(_never_overdue, "nobody becomes overdue, whatever `max_wait` says", "endless-seats", Caught.LIVELOCK, 3),
    Mutation(_priority_ignored, "priorities play no part", "swap", Caught.REFEREE, 4),
    Mutation(_fifo_by_priority, "`fifo` goes by priority", "fifo", Caught.REFEREE, 4),
    Mutation(_line_unsorted, "a line is in order of arrival, whatever its ranks are", "queue", Caught.INVARIANT, 4),
    Mutation(
        _latecomers_boosted,
        "whoever comes during the visit for an overdue ticket ranks with it",
        "queue",
        Caught.REFEREE,
        6,
    ),
    Mutation(_nobody_boosted, "nobody ranks with an overdue ticket whose model is loaded", "swap", Caught.REFEREE, 5),
    Mutation(
        _boost_kept,
        "who ranked with an overdue ticket does so when the model has left, too",
        "unload",
        Caught.INVARIANT,
        6,
    ),
    Mutation(_stop_while_serving, "a victim is stopped while it serves", "swap", Caught.INVARIANT, 2),
    Mutation(_claim_of_the_outranked, "a claim is committed before one that outranks it", "beside", Caught.REFEREE, 4),
    Mutation(
        _commit_amid_a_stop,
        "a claim is committed while a server in its way is still being stopped",
        "unload",
        Caught.REFEREE,
        3,
    ),
    Mutation(
        _head_of_line, "a claim waits for everybody who outranks it, in its way or not", "apart", Caught.REFEREE, 3
    ),
    Mutation(
        _not_all_victims, "a claim is committed when the first of its victims can leave", "beside", Caught.REFEREE, 4
    ),
    Mutation(
        _load_before_victims_stopped,
        "a model is loaded before its victims have stopped",
        "two-groups",
        Caught.REFEREE,
        3,
    ),
    Mutation(
        _two_claims_in_one_group,
        "a second claim is committed in a group whose first has not been loaded",
        "swap",
        Caught.CORE,
        4,
    ),
    Mutation(_committed_for_nobody, "a commit stands though nobody is left who wants it", "swap", Caught.INVARIANT, 4),
    Mutation(
        _dropped_passengers, "who had a seat on a load that is not made is forgotten", "unload", Caught.INVARIANT, 2
    ),
    Mutation(_seat_not_returned, "the seat of a client that goes away is not given back", "swap", Caught.INVARIANT, 3),
    Mutation(_claim_not_withdrawn, "a client that goes away stays in line", "swap", Caught.REFEREE, 3),
    Mutation(
        _nobody_looks_again,
        "nobody looks again when a seat is given back or the first in line goes away",
        "swap",
        Caught.INVARIANT,
        3,
    ),
    Mutation(_victim_revived, "a model that is being stopped takes its clients back", "swap", Caught.INVARIANT, 3),
    Mutation(_too_many_seats, "a model has a seat more than it should", "swap", Caught.INVARIANT, 2),
    Mutation(_queue_limit_ignored, "no line is ever full", "queue-limit", Caught.REFEREE, 3),
    Mutation(_holds_end_unnoticed, "nobody wakes the core when a hold ends", "swap", Caught.REFEREE, 5),
    Mutation(
        _deadlines_pass_unnoticed, "nobody wakes the core when a ticket becomes overdue", "swap", Caught.INVARIANT, 3
    ),
    Mutation(_ttl_ignores_min_loaded, "a `ttl` ends before `min_loaded`", "ttl", Caught.REFEREE, 4),
    Mutation(_ttl_ignores_rivals, "a `ttl` ends while a rival waits for the hold", "ttl", Caught.REFEREE, 6),
    Mutation(
        _failed_load_tried_for_ever,
        "a load that failed is tried again with the same passengers",
        "swap",
        Caught.REFEREE,
        2,
    ),
    Mutation(_no_pause, "no pause is given after failures", "swap", Caught.REFEREE, 5),
    Mutation(
        _failures_not_forgiven, "a request that is served does not end a row of failures", "swap", Caught.REFEREE, 6
    ),
    Mutation(_stop_said_twice, "a server is told to stop twice", "swap", Caught.REFEREE, 2),
    Mutation(_confirmed_too_early, "an unload is confirmed before the server has stopped", "unload", Caught.REFEREE, 2),
    Mutation(_never_confirmed, "an unload is never confirmed", "unload", Caught.DEADLOCK, 1),
    Mutation(_arrivals_amid_a_shutdown, "requests are taken during the shutdown", "shutdown", Caught.REFEREE, 2),
    Mutation(_preload_displaces, "a preload takes the place of somebody", "preload", Caught.REFEREE, 1),
    Mutation(_preload_before_tickets, "a preload comes before who waits", "preload", Caught.REFEREE, 3),
    Mutation(
        _ready_under_pressure,
        "the machine takes a model that a rival waits for to be wanted by nobody else",
        "swap",
        Caught.INVARIANT,
        3,
    ),
    Mutation(
        _nobody_looks_again_after_a_ttl,
        "nobody looks again when an idle model has gone (in a matrix)",
        "matrix",
        Caught.INVARIANT,
        6,
    ),
    Mutation(
        _nobody_looks_again_after_a_drop,
        "nobody looks again when a commit is taken back (in a matrix)",
        "matrix",
        Caught.REFEREE,
        9,
    ),
    Mutation(
        _leaving_in_nobodys_way,
        "what leaves for a change of the configuration is in nobody's way",
        "change-groups",
        Caught.REFEREE,
        3,
    ),
    Mutation(
        _leaving_claims,
        "what leaves for a change of the configuration claims a load meanwhile",
        "change-beside",
        Caught.INVARIANT,
        3,
    ),
    Mutation(
        _changed_line_refused, "who waits for a model that restarts is refused", "change-settings", Caught.REFEREE, 2
    ),
    Mutation(
        _failures_kept_over_a_restart,
        "a model that is started with another command keeps its failures",
        "change-settings",
        Caught.REFEREE,
        3,
    ),
)
