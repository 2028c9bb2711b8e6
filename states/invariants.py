"""What must hold after every event: every derived collection is derived again, and every rule that a state can break.

Cheap enough to run after each event of a live proxy; tests and the health check do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Final

from . import scheduler
from .core import Core
from .errors import CoreError
from .group import Group, GroupState, Pressure
from .world import Model, World

Rule = Callable[[World], Iterator[str]]


def check(core: Core, *, only_derived: bool = False) -> None:
    """Assert that the core is consistent and has nothing left to decide.

    Args:
        core: between two events.
        only_derived: whether what is derived is right is enough: the rest was seen to be, in records that are the same.

    Raises:
        CoreError: what is broken, with the stories of all groups.
    """
    broken = list(violations(core.world, _DERIVED if only_derived else _RULES))
    if core.next_deadline() <= core.world.clock:
        broken.append(f"the next deadline {core.next_deadline()} is not after {core.world.clock}")
    if broken:
        stories = [f"{group.id}: {line}" for group in core.world.groups.values() for line in group.story]
        raise CoreError("; ".join(broken), stories)


def violations(world: World, rules: Iterable[Rule]) -> Iterator[str]:
    """Everything that is broken, one sentence each."""
    for rule in rules:
        yield from rule(world)


def _derived(world: World) -> Iterator[str]:
    models = world.models.values()
    if world.waiting != {model.id: model for model in models if len(model.line)}:
        yield "the models with somebody in line are not the waiting ones"
    if world.residents != {model.id: model for model in models if model.resident}:
        yield "the resident models are not those that groups name"
    unloading = {group.id: group for group in world.groups.values() if group.state is GroupState.UNLOADING}
    if world.stopping != unloading:
        yield "the stopping groups are not the unloading ones"
    everybody = [ticket for model in models for ticket in (*model.line, *model.seated.values())]
    if len(everybody) != len(world.tickets) or any(world.tickets.get(ticket.id) is not ticket for ticket in everybody):
        yield "a ticket is lost, or stands in two places"


def _leaving(world: World) -> Iterator[str]:
    for model in world.models.values():
        there = model.resident or any(group.server == model.id for group in world.groups.values())
        if model.id in world.leaving and not there:
            yield f"{model.id} leaves, and nothing is left of it"
        if model.id in world.leaving and model.resident and not model.group.closing:
            yield f"{model.id} leaves, and was not asked to unload"
        if model.id not in world.leaving and world.policy.group_of.get(model.id) != model.group.id:
            yield f"{model.id} is not in the group that the settings give it"
    if world.groups != {model.group.id: model.group for model in world.models.values()}:
        yield "there are other groups than those of the models"


def _lines(world: World) -> Iterator[str]:
    for model in world.models.values():
        entries = model.line.ranked
        if entries != sorted(entries, key=lambda entry: entry[:2]):
            yield f"the line of {model.id} is not in queue order"
        for rank, number, ticket in entries:
            if rank != ticket.rank_at(world.clock, world.settings.strategy) or number != ticket.number:
                yield f"ticket {ticket.id} does not have the rank that it should have"
            if ticket.granted_at is not None:
                yield f"ticket {ticket.id} waits and has a usable seat"
            if ticket.boost < inf and not model.resident:
                yield f"ticket {ticket.id} is still boosted though {model.id} is not resident"
        due = sorted((t.deadline, t.number) for t in model.line if world.clock < t.deadline < inf)
        if [entry[:2] for entry in model.line.due] != due or model.line.next_due != (due[0][0] if due else inf):
            yield f"the deadlines of {model.id} are not those of its line"


def _groups(world: World) -> Iterator[str]:
    for group in world.groups.values():
        idle = group.state is GroupState.IDLE
        if idle != (group.server is None):
            yield f"group {group.id} is {group.state.value} with server {group.server}"
        if (group.loaded or group.state is GroupState.LOADING) and group.resident != group.server:
            yield f"group {group.id} is {group.state.value} with {group.server} and resident {group.resident}"
        if group.awaiting and not group.committed:
            yield f"group {group.id} awaits victims without a commit"
        if any(world.groups[other].state is not GroupState.UNLOADING for other in group.awaiting):
            yield f"group {group.id} awaits a group that is not unloading"
        if idle and group.resident is not None and not group.awaiting:
            yield f"group {group.id} is committed, nobody stops for it, and it does not load"
        if group.resident is None and (group.closing or group.pressure is not Pressure.NONE):
            yield f"group {group.id} is marked for a model that is not resident"
        yield from _machine(group)


def _machine(group: Group) -> Iterator[str]:
    told = {GroupState.ACTIVE: Pressure.NONE, GroupState.DRAINING: Pressure.BLOCKED, GroupState.DEBOUNCE: Pressure.HELD}
    if group.loaded and told[group.state] is not group.pressure:
        yield f"group {group.id} is {group.state.value} under pressure {group.pressure.value}"


def _seats(world: World) -> Iterator[str]:
    for model in world.models.values():
        yield from _seats_of(model)


def _seats_of(model: Model) -> Iterator[str]:
    if len(model.seated) > model.settings.concurrency + model.surplus:
        yield f"{model.id} has more tickets seated than seats"
    if model.resident and model.group.committed and not model.seated:
        yield f"{model.id} is committed for nobody"
    if model.seated and not model.resident:
        yield f"{model.id} has tickets seated and is not resident"
    usable = model.in_place and model.group.loaded
    if any((ticket.granted_at is not None) != usable for ticket in model.seated.values()):
        yield f"{model.id}: tickets may use their seats, and the model is not loaded, or the other way round"
    if model.group.closing and model.in_place and not model.seated:
        yield f"{model.id} was asked to unload, serves nobody, and stays"


def _settled(world: World) -> Iterator[str]:
    for model in world.waiting.values():
        if scheduler.seatable(world, model, model.line.head):
            yield f"ticket {model.line.head.id} may be seated and waits"
    made = scheduler.claims(world)
    for claim in made:
        if not claim.obstacles:
            yield f"the claim of ticket {claim.ticket.id} has nothing in its way and is not committed"
    asked = {group: pressure for group, (pressure, _) in scheduler.pressures(made).items()}
    for model in world.residents.values():
        closing = model.group.closing
        pressure = Pressure.BLOCKED if closing else asked.get(model.group.id, Pressure.NONE)
        if pressure is not model.group.pressure:
            yield f"{model.id} is under pressure {model.group.pressure.value}, should be {pressure.value}"
    for ticket in world.tickets.values():
        if ticket.granted_at is None and scheduler.reason(world, ticket, made) is None:
            yield f"ticket {ticket.id} waits for nothing"


_DERIVED: Final[tuple[Rule, ...]] = (_derived, _leaving, _lines)
_RULES: Final[tuple[Rule, ...]] = (*_DERIVED, _groups, _seats, _settled)
