"""The numbered rules of the contract (docs: scheduling), as questions about a world. Nothing here changes anything.

There is one decision, asked again after every event: who may be seated (`shut_by`), and whose claim commits (`claims`).
Work grows with the models that have somebody waiting, and with the resident ones; not with the length of a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from math import inf

from .group import Pressure
from .reasons import Closing, Held, InFlight, Loading, Obstacle, Outranked, Reason, SeatsFull, Stopping
from .settings import GroupId
from .waiting import Ticket
from .world import Model, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The wish of the first in line of a model that is not resident."""

    ticket: Ticket
    victims: tuple[Model, ...]
    """The resident models that must leave for it."""
    footprint: frozenset[GroupId]
    """The groups it needs: its model's and its victims'."""
    obstacles: tuple[Obstacle, ...]
    """What it waits for; it commits when there is nothing."""


def seatable(world: World, model: Model, ticket: Ticket) -> bool:
    """Rule 1: whether `ticket`, the first in line or about to be, may take a seat of its model now."""
    return model.resident and not model.group.closing and model.has_free_seat and shut_by(world, ticket) is None


def shut_by(world: World, ticket: Ticket) -> Ticket | None:
    """Rule 1, the gate: the rival that outranks `ticket`, if any."""
    for rival in world.contenders():
        if rival.rank < ticket.rank and world.displaces(rival.model, ticket.model):
            return rival
    return None


def claims(world: World) -> list[Claim]:
    """Rule 3: every claim with its obstacles, in queue order."""
    return _claims(world, world.absent_heads())


def first_claims(world: World) -> list[Claim]:
    """Rule 3, for the decision: of each process group only the first claim; no other can be committed before it."""
    return _claims(world, world.contenders())


def commits_at_once(world: World, ticket: Ticket) -> bool:
    """Rules 4 and 9: whether `ticket`, not in line yet, would find nothing in the way of its claim.

    Behind another of its model it would not: what is in the way of the better rank is in its own way too.
    """
    model = world.models[ticket.model]
    if model.resident or model.id in world.leaving:
        return False
    others = (head for head in world.absent_heads() if head.model != ticket.model)
    return any(claim.ticket is ticket and not claim.obstacles for claim in _claims(world, (ticket, *others)))


def _claims(world: World, heads: Iterable[Ticket]) -> list[Claim]:
    made: list[Claim] = []
    for ticket in sorted(heads, key=lambda head: (head.rank, head.number)):
        made.append(_claim(world, ticket, made))
    return made


def _claim(world: World, ticket: Ticket, earlier: list[Claim]) -> Claim:
    model = world.models[ticket.model]
    victims = world.victims(ticket.model)
    footprint = frozenset({model.group.id, *(victim.group.id for victim in victims)})
    obstacles: list[Obstacle] = [
        *_outranked(world, ticket, footprint, earlier),
        *(InFlight(victim=victim.id, seats_taken=len(victim.seated)) for victim in victims if victim.seated),
        *_holds(world, ticket, victims),
        *(Stopping(model=server) for server in world.in_the_way(model.id)),
    ]
    return Claim(ticket=ticket, victims=victims, footprint=footprint, obstacles=tuple(obstacles))


def _outranked(
    world: World, ticket: Ticket, footprint: frozenset[GroupId], earlier: list[Claim]
) -> Iterator[Outranked]:
    for claim in earlier:
        first = claim.ticket
        if first.rank >= ticket.rank:
            return  # nor does anybody who comes after it
        if footprint & claim.footprint or world.displaces(first.model, ticket.model):
            yield outranked(world, first, ticket)
            return  # one is enough to wait for, and to tell


def outranked(world: World, first: Ticket, second: Ticket) -> Outranked:
    """Say why `first` goes before `second`."""
    if not world.holds_count:
        because = "it arrived earlier"
    elif second.rank.tier == 0:
        because = "it is overdue for longer"
    elif first.rank.tier == 0:
        because = "it is overdue"
    else:
        because = f"priority {first.priority} over {second.priority}"
    return Outranked(by=first.id, model=first.model, because=because)


def _holds(world: World, ticket: Ticket, victims: tuple[Model, ...]) -> Iterator[Held]:
    for victim in victims:
        if held_until(world, victim) > world.clock and bypass(world, ticket, victim) is None:
            yield Held(victim=victim.id, until=held_until(world, victim))


def held_until(world: World, model: Model) -> float:
    """Rule 5: when the hold of a model ends; -inf when there is none: not loaded, a seat taken, or strategy fifo."""
    group, chosen = model.group, model.settings
    if not world.holds_count or not model.in_place or not group.loaded or model.seated:
        return -inf
    return max(group.idle_since + chosen.unload_delay_s, group.loaded_at + chosen.min_loaded_s)


def bypass(world: World, ticket: Ticket, victim: Model) -> str | None:
    """Rule 5: why `ticket` need not wait for the hold of `victim`; None: it must."""
    if ticket.rank.tier == 0:
        return f"waited {world.clock - ticket.arrived_at:.1f} s, overdue"
    if ticket.priority > victim.settings.priority:
        return f"priority {ticket.priority} over {victim.settings.priority}"
    return None


def pressures(made: list[Claim]) -> dict[GroupId, tuple[Pressure, Claim]]:
    """Which claims ask resident models to leave, and what keeps them out; groups that none asks are left out."""
    asked: dict[GroupId, tuple[Pressure, Claim]] = {}
    for claim in made:
        for victim in claim.victims:
            match claim.obstacles:
                case (Held(victim=held),) if held == victim.id:
                    asked[victim.group.id] = Pressure.HELD, claim
                case _:
                    asked.setdefault(victim.group.id, (Pressure.BLOCKED, claim))
    return asked


def expires_at(model: Model) -> float:
    """Rule 11: when a loaded model without work or rival is unloaded; inf: never."""
    group, chosen = model.group, model.settings
    idle = group.loaded and group.pressure is Pressure.NONE and not model.seated
    if chosen.ttl_s <= 0 or not idle:
        return inf
    return max(group.idle_since + chosen.ttl_s, group.loaded_at + chosen.min_loaded_s)


class Preload(Enum):
    """What becomes of a preload now."""

    NOW = "now"
    WAIT = "wait"
    NEVER = "never"
    DONE = "done"


def may_preload(world: World, model: Model, made: list[Claim]) -> Preload:
    """Rule 13: behind every ticket, and only where nobody must leave."""
    if model.resident:
        return Preload.DONE
    if model.id in world.leaving:
        return Preload.WAIT
    if world.victims(model.id) or model.paused_until > world.clock:
        return Preload.NEVER
    for claim in made:
        if world.displaces(claim.ticket.model, model.id) or model.group.id in claim.footprint:
            return Preload.WAIT
    return Preload.WAIT if any(world.in_the_way(model.id)) else Preload.NOW


def place_free_in_s(world: World, model: Model) -> float:
    """Rule 9: about how many seconds pass until a place in the line of `model` is free, from measured times."""
    wait = model.estimates.service.expected_s / model.settings.concurrency
    if not model.in_place or not model.group.loaded:
        wait += max((victim.estimates.stop.expected_s for victim in world.victims(model.id)), default=0.0)
        wait += model.estimates.load.expected_s
    return wait


def reason(world: World, ticket: Ticket, made: list[Claim]) -> Reason | None:
    """What a ticket without a usable seat waits for.

    Args:
        world: where it waits.
        ticket: waiting, or seated while its model is not loaded.
        made: what `claims` says now.

    Returns:
        The first thing in its way; None would say that it waits for nothing: a lost wake-up, a bug of ours.
    """
    model = world.models[ticket.model]
    group = model.group
    if ticket.id in model.seated:
        if group.awaiting:
            stopping = world.groups[min(group.awaiting)].server
            return Stopping(model=stopping) if stopping is not None else None
        return Loading(model=model.id, since=group.since, expected_s=model.estimates.load.mean_s)
    if model.resident:
        if group.closing:
            return Closing(model=model.id)
        if not model.has_free_seat:
            return SeatsFull(model=model.id, concurrency=model.settings.concurrency)
        rival = shut_by(world, ticket)
        return None if rival is None else outranked(world, rival, ticket)
    if model.id in world.leaving:
        return Stopping(model=model.id)
    obstacles = next((claim.obstacles for claim in made if claim.ticket.model == ticket.model), ())
    return obstacles[0] if obstacles else None
