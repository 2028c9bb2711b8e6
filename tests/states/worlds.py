"""Random worlds: small, so that models meet often. The same seed gives the same world."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from states.matrix import Matrix, read_sets
from states.settings import GroupSettings, ModelId, ModelSettings, Settings, Strategy
from states.small_world import Crowd, Operation, SmallWorld, Wish


def random_settings(rng: Random) -> Settings:
    """Two to five models in groups of every kind; times in quarters of seconds, so that many fall on one instant."""
    names = [ModelId(name) for name in "abcde"[: rng.randint(2, 5)]]
    return Settings(
        models={name: random_model(rng) for name in names},
        groups=random_groups(rng, names),
        strategy=rng.choice([Strategy.FIFO_PLUS, Strategy.FIFO_PLUS, Strategy.FIFO]),
    )


def random_model(rng: Random) -> ModelSettings:
    """Every setting takes part often, and is at rest often."""
    delay = rng.choice([0.0, 0.0, 1.0, 3.0])
    return ModelSettings(
        priority=rng.choice([0, 0, 1, 2]),
        unload_delay_s=delay,
        min_loaded_s=rng.choice([0.0, 0.0, 2.0]),
        max_wait_s=rng.choice([0.0, 2.0, 5.0]),
        concurrency=rng.choice([1, 1, 2, 3]),
        queue_limit=rng.choice([1, 2, 5, 100]),
        ttl_s=rng.choice([0.0, 0.0, delay + 1.0]),
        unload_timeout_s=rng.choice([0.0, 1.0, 3.0]),
    )


def random_groups(rng: Random, names: list[ModelId]) -> dict[str, GroupSettings]:
    """Up to three configured groups; what is in none of them is in the default one."""
    rest = rng.sample(names, len(names))
    groups: dict[str, GroupSettings] = {}
    for number in range(rng.randint(0, 3)):
        members, rest = (split := rng.randint(0, len(rest))) and tuple(rest[:split]), rest[split:]
        if members:
            groups[f"g{number}"] = GroupSettings(
                members=members,
                swap=rng.random() < 0.6,
                exclusive=rng.random() < 0.6,
                persistent=rng.random() < 0.3,
            )
    return groups


def random_small_world(rng: Random) -> SmallWorld:
    """Two or three models to explore, and anything that may happen to them; in every other world without end."""
    names = [ModelId(name) for name in "abc"[: rng.choice([2, 3, 3])]]
    models = {name: random_model(rng) for name in names}
    strategy = rng.choice([Strategy.FIFO_PLUS, Strategy.FIFO_PLUS, Strategy.FIFO])
    settings, changed, restart = Settings(models=models, groups=random_groups(rng, names), strategy=strategy), None, []
    if len(names) > 2 and rng.random() < 0.3:
        sets = rng.choice(["a & b | c", "b & c | a & b | a & c", "a & b | b & c", "a & (b | c)"])
        matrix = Matrix(sets=read_sets({"sets": sets}, ModelId), costs={rng.choice(names): 5})
        settings = replace(settings, groups={}, matrix=matrix)
    operations = [Operation(wish=wish, models=(rng.choice(names),)) for wish in _WISHES if rng.random() < 0.2]
    if rng.random() < 0.3:
        others = {name: _changed(rng, chosen) for name, chosen in models.items()}
        changed, restart = Settings(models=others, groups=random_groups(rng, names), strategy=strategy), names[:1]
        operations.append(Operation(wish=Wish.CHANGE))
    endless = rng.random() < 0.5
    crowds: list[Crowd] = []
    for name in names:
        size, priority = rng.choice([1, 1, 2]), rng.choice([None, None, 0, 3])
        crowds.append(Crowd(model=name, size=size, priority=priority, returns=endless, leaves=True))
    world = SmallWorld(
        settings=settings,
        crowds=tuple(crowds),
        operations=tuple(operations),
        changed=changed,
        restart=frozenset(restart),
        fails=frozenset(name for name in names if rng.random() < 0.2),
    )
    return world.observing(rng.choice(names)) if endless else world


_WISHES = (Wish.UNLOAD, Wish.UNLOAD_KEEPING, Wish.PRELOAD, Wish.SHUTDOWN, Wish.HURRY)


def _changed(rng: Random, kept: ModelSettings) -> ModelSettings:
    return replace(random_model(rng), max_wait_s=kept.max_wait_s, min_loaded_s=kept.min_loaded_s)
