"""Random worlds: small, so that models meet often. The same seed gives the same world."""

from __future__ import annotations

from random import Random

from states.settings import GroupSettings, ModelId, ModelSettings, Settings, Strategy


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
