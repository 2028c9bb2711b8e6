"""Settings that are said to never matter: facts about each, and random worlds in which they make no difference."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from states import effects as fx
from states import events as ev
from states.contention import Contention
from states.effects import Effect
from states.matrix import Matrix, read_sets
from states.settings import GroupSettings, ModelId, ModelSettings, Settings, Strategy, TicketId
from states.without_effect import NoEffect, without_effect

from .environment import Durations, Environment
from .worlds import random_settings

WORLDS = 30
SECONDS = {"unload_delay": "unload_delay_s", "min_loaded": "min_loaded_s", "max_wait": "max_wait_s"}


def idle(settings: Settings, preload: tuple[str, ...] = ()) -> list[str]:
    found = without_effect(Contention(settings), tuple(ModelId(name) for name in preload))
    return [f"{each.table}.{each.key}" for each in found]


def world(
    groups: dict[str, GroupSettings] | None = None, strategy: Strategy = Strategy.FIFO_PLUS, **models: ModelSettings
) -> Settings:
    chosen = {ModelId(name): of for name, of in models.items()}
    return Settings(models=chosen, groups=groups or {}, strategy=strategy)


def group(*members: str, **flags: bool) -> GroupSettings:
    return GroupSettings(members=tuple(ModelId(name) for name in members), **flags)


PLAIN = ModelSettings()
HELD = ModelSettings(unload_delay_s=5)
EVERYTHING = ModelSettings(priority=3, unload_delay_s=5, min_loaded_s=9, max_wait_s=60)
BESIDE = {"beside": group("a", "b", swap=False)}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (world(a=PLAIN, b=PLAIN), []),
        (world(a=EVERYTHING, b=PLAIN), []),
        (world(a=EVERYTHING), ["models.a." + key for key in ("priority", "unload_delay", "min_loaded", "max_wait")]),
        (
            world(BESIDE, a=EVERYTHING, b=PLAIN),
            ["models.a." + key for key in ("priority", "unload_delay", "min_loaded", "max_wait")],
        ),
        (
            world(strategy=Strategy.FIFO, a=EVERYTHING, b=PLAIN),
            ["models.a." + key for key in ("priority", "unload_delay", "min_loaded", "max_wait")],
        ),
        (world(a=ModelSettings(priority=2), b=ModelSettings(priority=2)), ["models.a.priority", "models.b.priority"]),
        (world(a=HELD, b=ModelSettings(priority=1)), ["models.a.unload_delay"]),
        (world(a=HELD, b=PLAIN), []),
        (world(a=HELD, b=ModelSettings(priority=1), c=PLAIN), []),
        (world(a=ModelSettings(unload_delay_s=5, min_loaded_s=5), b=PLAIN), ["models.a.min_loaded"]),
        (world(a=ModelSettings(min_loaded_s=5, ttl_s=4)), []),
        (world(a=ModelSettings(min_loaded_s=5, ttl_s=6)), ["models.a.min_loaded"]),
        (
            world(a=ModelSettings(priority=1, max_wait_s=60), b=ModelSettings(max_wait_s=0)),
            ["models.a.max_wait"],
        ),
        (world({"g": group("a", swap=False)}, a=PLAIN, b=PLAIN), ["groups.g.swap"]),
        (world({"g": group("a", "b", exclusive=False)}, a=PLAIN, b=PLAIN), ["groups.g.exclusive"]),
        (
            world({"g": group("a", persistent=True), "h": group("b", exclusive=False)}, a=PLAIN, b=PLAIN),
            ["groups.g.persistent", "groups.h.exclusive"],
        ),
        (world({"g": group("a", persistent=True)}, a=PLAIN, b=PLAIN), []),
    ],
)
def test_what_can_never_matter_is_found(settings: Settings, expected: list[str]) -> None:
    assert idle(settings) == expected


def test_the_cost_of_a_model_that_is_in_every_set_never_matters() -> None:
    models = {ModelId(name): HELD for name in "abc"}
    matrix = Matrix(sets=read_sets({"s": "(a | b) & c"}, ModelId), costs={ModelId("a"): 5, ModelId("c"): 5})
    assert idle(Settings(models=models, matrix=matrix)) == ["models.c.unload_delay", "matrix.evict_costs.c"]


def test_a_preload_for_which_an_earlier_one_would_have_to_leave_never_happens() -> None:
    found = without_effect(Contention(world(a=PLAIN, b=PLAIN)), (ModelId("a"), ModelId("b")))
    assert [(each.value, each.because) for each in found] == [
        ("b", "a would have to leave for it, and is preloaded before")
    ]
    assert idle(world(BESIDE, a=PLAIN, b=PLAIN), preload=("a", "b")) == []


# In worlds at random: everybody is served at the same times with it and without it.


def left_out(settings: Settings, found: NoEffect) -> Settings:
    """The same settings, one of them as if nothing were said."""
    kind, _, name = found.table.partition(".")
    if kind == "groups":
        usual = getattr(GroupSettings(members=()), found.key)
        return replace(settings, groups={**settings.groups, name: replace(settings.groups[name], **{found.key: usual})})
    key = SECONDS.get(found.key, found.key)
    # Of equal priorities it is said of each that all are equal: they go together.
    equal = Contention(settings).field_of(ModelId(name)) if key == "priority" else [ModelId(name)]
    changed = {model: replace(settings.models[model], **{key: getattr(PLAIN, key)}) for model in equal}
    return replace(settings, models={**settings.models, **changed})


class Even(Random):
    """Events of one instant happen in the order in which they were planned, however often anybody looks."""

    def random(self) -> float:
        return 0.5


def deeds(settings: Settings, seed: int) -> list[tuple[float, str, str]]:
    """What is done, when."""
    rng, done = Random(seed), list[tuple[float, str, str]]()

    def watch(_event: ev.Event, now: float, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case fx.GrantSeat(ticket=ticket) | fx.RefuseTicket(ticket=ticket):
                    done.append((now, type(effect).__name__, str(ticket)))
                case fx.StartServer(model=model) | fx.StopServer(model=model):
                    done.append((now, type(effect).__name__, model))
                case _:
                    pass

    def some(*choices: float) -> float:
        return rng.choice(choices)

    durations = Durations(
        load_s=lambda _: some(0.25, 1.0), stop_s=lambda _: some(0.0, 0.5), service_s=lambda _: some(0.25, 1.0, 2.0)
    )
    environment = Environment(settings, durations, Even(), watch)
    time = 0.0
    for number in range(30):
        time += some(0.0, 0.25, 1.0, 4.0)
        environment.plan(time, ev.TicketArrived(ticket=TicketId(number), model=rng.choice(list(settings.models))))
    environment.run()
    return done


def test_what_never_matters_makes_no_difference_in_any_random_world() -> None:
    seen: set[str] = set()
    for seed in range(WORLDS):
        settings = random_settings(Random(seed))
        done = deeds(settings, seed)
        for found in without_effect(Contention(settings)):
            seen.add(found.key)
            assert deeds(left_out(settings, found), seed) == done, f"seed {seed}: {found}"
    assert seen == {"priority", "unload_delay", "min_loaded", "max_wait", "swap", "exclusive", "persistent"}


def test_what_can_matter_does_make_a_difference() -> None:
    """The comparison above is no rubber stamp."""
    settings = world(a=EVERYTHING, b=ModelSettings(priority=1, max_wait_s=4))
    for table, key in (("models.a", "priority"), ("models.a", "unload_delay"), ("models.b", "max_wait")):
        said = NoEffect(table=table, key=key, value=0, because="", advice="")
        assert any(deeds(settings, seed) != deeds(left_out(settings, said), seed) for seed in range(5)), key
