"""Small worlds out of a large configuration: its models by twos and threes, with its own settings, one of them waiting.

Who can be in whose way is a matter of two models or three. Models that are alike, in their settings and in whom they
displace, are taken as one kind; worlds that differ in numbers alone, but not in how these compare, are one world.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, permutations
from typing import Final

from .contention import Contention
from .settings import ModelId, ModelSettings, Settings
from .small_world import Crowd, SmallWorld, in_order

CLIENTS: Final = 2
"""Of each model that somebody may wait for: one may always be there while the other is served."""
MOST_KINDS_IN_THREES: Final = 10
"""Where there are more kinds of models than these, they are taken by twos only."""

Kind = tuple[ModelSettings, frozenset[ModelId], frozenset[ModelId], bool] | ModelId
"""Settings, and whom a model displaces and is displaced by; whether that is among its own kind too."""


def excerpts(contention: Contention) -> Iterator[SmallWorld]:
    """Yield the small worlds that are worth exploring, the smallest first; in each, one client's wait is watched.

    Where sets of models say who may be there, no two models are taken to be alike, and no two worlds to be one.
    """
    chosen = _representatives(contention)
    sizes = (1, 2) if len({_kind(contention, model) for model in chosen}) <= MOST_KINDS_IN_THREES else (1,)
    known: set[object] = set()
    for size in sizes:
        for waiter in chosen:
            rivals = [model for model in chosen if model != waiter and model in contention.field_of(waiter)]
            for others in combinations(rivals, size):
                models = (waiter, *others)
                settings = _only(contention.settings, models)
                if (key := _key(contention, settings, waiter)) not in known:
                    known.add(key)
                    crowds = tuple(Crowd(model=model, size=CLIENTS, returns=True) for model in others)
                    # Two deadlines on one instant double what there is to explore: by twos they are enough.
                    world = SmallWorld(settings=settings, crowds=crowds, coincidences=2 if size == 1 else 1)
                    yield world.observing(waiter)


def _representatives(contention: Contention) -> list[ModelId]:
    """Of each kind of models that have to do with others, as many as a world may have."""
    counts: dict[Kind, int] = {}
    chosen = []
    for model in contention.models:
        kind = _kind(contention, model)
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= 3 and len(contention.field_of(model)) > 1:  # noqa: PLR2004 (it waits, and two are in its way)
            chosen.append(model)
    return chosen


def _kind(contention: Contention, model: ModelId) -> Kind:
    if contention.settings.matrix is not None:
        return model
    of, me, victims = contention.settings.models[model], frozenset({model}), contention.displaced[model]
    displacers = frozenset(other for other in contention.models if contention.displaces(other, model))
    alike = any(
        contention.settings.models[other] == of
        and contention.displaced[other] | {other} == contention.displaced[model] | me
        for other in contention.apart(model)
    )
    return (of, victims | me, displacers | me, True) if alike else (of, victims, displacers, False)


def _only(settings: Settings, models: tuple[ModelId, ...]) -> Settings:
    groups = {
        name: replace(group, members=members)
        for name, group in settings.groups.items()
        if (members := tuple(model for model in group.members if model in models))
    }
    return replace(settings, models={model: settings.models[model] for model in models}, groups=groups)


def _key(contention: Contention, settings: Settings, waiter: ModelId) -> object:
    """What a world is but for the names of its models and the size of its numbers."""
    if settings.matrix is not None:
        return waiter, frozenset(settings.models)
    compared = in_order(settings).models
    priorities = sorted({model.priority for model in settings.models.values()})
    plain = {
        model: replace(
            of,
            priority=priorities.index(of.priority),
            concurrency=min(of.concurrency, CLIENTS),
            queue_limit=min(of.queue_limit, CLIENTS),
        )
        for model, of in compared.items()
    }
    others = [model for model in settings.models if model != waiter]
    return min(
        (
            tuple(map(repr, (plain[model] for model in order))),
            tuple(one in contention.displaced[two] for one, two in permutations(order, 2)),
        )
        for order in ((waiter, *rest) for rest in permutations(others))
    )
