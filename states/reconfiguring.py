"""A change of the configuration while everything runs: what stays, what ends, and what takes whose place.

A model stays, with everybody who is served by it or waits for it, unless its command or its process group changed, or
it is gone. What does not stay is unloaded as on request (rule 10), except that those who wait for a model that comes
back keep arrival, priority and deadline. Until nothing is left of it, it is `leaving`: on the record of its old group,
in everybody's way, claiming nothing. Scheduling settings hold at once, for those who wait too.
"""

from __future__ import annotations

from math import inf

from .effects import Refusal, RefusalCode
from .events import SettingsChanged
from .group import Group
from .moves import Moves
from .residency import policy_of
from .settings import ModelId
from .world import Model, World


def reconfigure(world: World, moves: Moves, event: SettingsChanged) -> list[Model]:
    """Go over to other settings.

    Args:
        world: to be changed.
        moves: the moves of that world.
        event: the new settings, and whose server must not go on.

    Returns:
        The models whose server has to end for it.
    """
    policy = policy_of(event.settings)
    for model in world.models.values():
        if model.id in event.restart or policy.group_of.get(model.id) != model.group.id:
            moves.unload(model, model.settings.unload_timeout_s, None)
            if _exists(world, model):
                world.leaving[model.id] = model
        if model.id not in event.settings.models:
            moves.refuse_line(model, gone(model.id))
    world.settings, world.policy = event.settings, policy
    world.preloads = [model for model in world.preloads if model in event.settings.models]
    _renew(world, event.restart)
    release(world)
    return list(world.leaving.values())


def release(world: World) -> None:
    """Let the models of which nothing is left any more go on in their new groups, or be forgotten."""
    world.leaving = {name: model for name, model in world.leaving.items() if _exists(world, model)}
    for model in [model for model in world.models.values() if model.id not in world.leaving]:
        if model.id in world.settings.models:
            home = world.policy.group_of[model.id]
            model.group = world.groups.setdefault(home, Group(id=home))
        else:
            del world.models[model.id]
    used = {model.group.id for model in world.models.values()}
    world.groups = {name: group for name, group in world.groups.items() if name in used}


def gone(model: ModelId) -> Refusal:
    """The refusal of those who want a model that the configuration does not have any more."""
    return Refusal(code=RefusalCode.UNLOADED, message=f"{model} is not in the configuration any more")


def _renew(world: World, restart: frozenset[ModelId]) -> None:
    for name, chosen in world.settings.models.items():
        model = world.models.get(name)
        if model is None:
            home = world.policy.group_of[name]
            group = world.groups.setdefault(home, Group(id=home))
            world.models[name] = Model(id=name, settings=chosen, group=group)
            continue
        model.settings = chosen
        model.surplus = max(0, len(model.seated) - chosen.concurrency)
        if name in restart:
            model.failures, model.paused_until = 0, -inf
        for ticket in (*model.line, *model.seated.values()):
            ticket.priority = chosen.priority if ticket.own_priority is None else ticket.own_priority
            ticket.deadline = world.deadline_of(model, ticket.arrived_at)
        model.line.rebuild(world.clock, world.settings.strategy)


def _exists(world: World, model: Model) -> bool:
    return model.resident or any(group.server == model.id for group in world.groups.values())
