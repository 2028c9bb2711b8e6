"""Who can keep whom waiting, worked out from settings, beside what the exploration of every state finds."""

from __future__ import annotations

from random import Random

import pytest

from states.contention import Contention, How, Keeping, twins
from states.exploration import explore
from states.matrix import Matrix, read_sets
from states.promises import starvation
from states.settings import GroupSettings, ModelId, ModelSettings, Settings, Strategy
from states.small_world import Crowd, SmallWorld

from .worlds import random_groups

A, B, C, D = (ModelId(name) for name in "abcd")


def model(priority: int = 0, max_wait_s: float = 0.0) -> ModelSettings:
    return ModelSettings(priority=priority, max_wait_s=max_wait_s, concurrency=2)


def group(*members: str, **flags: bool) -> GroupSettings:
    return GroupSettings(members=tuple(ModelId(name) for name in members), **flags)


def contention(
    groups: dict[str, GroupSettings] | None = None, strategy: Strategy = Strategy.FIFO_PLUS, **models: ModelSettings
) -> Contention:
    chosen = {ModelId(name): of for name, of in models.items()}
    return Contention(Settings(models=chosen, groups=groups or {}, strategy=strategy))


def sets(**texts: str) -> Contention:
    matrix = Matrix(sets=read_sets(texts, ModelId), costs={})
    return Contention(Settings(models=dict.fromkeys((A, B, C, D), model()), matrix=matrix))


def how(of: Contention, waiter: ModelId = A) -> dict[How, str]:
    return {keeping.how: "".join(keeping.by) for keeping in of.kept_waiting(waiter)}


def can_starve(settings: Settings, waiter: ModelId) -> bool:
    """What exploration says: two clients of each other model, again and again."""
    crowds = tuple(Crowd(model=other, size=2, returns=True) for other in settings.models if other != waiter)
    return starvation(explore(SmallWorld(settings=settings, crowds=crowds).observing(waiter))) is not None


# Each means, with the nearest settings under which nobody waits without bound.

ASIDE = {"aside": group("a", exclusive=False)}
"""Loading a displaces nobody; loading another displaces a."""
BOTH_ASIDE = {**ASIDE, "also": group("c", exclusive=False)}
CASES = [
    ("who has to leave is served on and on", {}, {"a": model(), "b": model()}, {How.SERVES: "b"}),
    ("but not where its priority is lower", {}, {"a": model(1), "b": model()}, {}),
    ("unless its requests are overdue", {}, {"a": model(1), "b": model(0, 5)}, {How.OVERDUE: "b"}),
    ("who has a max_wait waits for nobody without bound", {}, {"a": model(0, 5), "b": model(9)}, {}),
    ("two take turns in going first", ASIDE, {"a": model(), "b": model(1), "c": model(1)}, {How.IN_TURN: "bc"}),
    ("one alone does not", ASIDE, {"a": model(), "b": model(1), "c": model()}, {}),
    ("who goes first waits itself", BOTH_ASIDE, {"a": model(), "b": model(1), "c": model(1)}, {How.BEHIND: "b"}),
    ("but not without bound", BOTH_ASIDE, {"a": model(), "b": model(1, 5), "c": model(1)}, {}),
    ("nor for somebody less important", BOTH_ASIDE, {"a": model(), "b": model(1), "c": model()}, {}),
]


@pytest.mark.parametrize(
    ("groups", "models", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_who_can_wait_without_bound_is_who_exploration_finds(
    groups: dict[str, GroupSettings], models: dict[str, ModelSettings], expected: dict[How, str]
) -> None:
    found = contention(groups, **models)
    assert how(found) == expected
    assert can_starve(found.settings, A) == bool(expected)


def test_in_random_worlds_exploration_finds_the_same() -> None:
    starving = calm = 0
    for seed in range(60):
        rng = Random(seed)
        names = [A, B]
        models = {name: model(rng.choice([0, 1, 2]), rng.choice([0.0, 0.0, 5.0])) for name in names}
        settings = Settings(models=models, groups=random_groups(rng, names))
        for waiter in (name for name in names if not models[name].max_wait_s):
            expected = bool(Contention(settings).kept_waiting(waiter))
            assert can_starve(settings, waiter) == expected, f"seed {seed}: {settings}"
            starving, calm = starving + expected, calm + (not expected)
    assert min(starving, calm) > 10


def test_in_random_sets_of_models_exploration_finds_the_same() -> None:
    """With three models, any of whom may fit beside each of the others and not beside both."""
    beside = starving = calm = 0
    for seed in range(8):
        rng, names = Random(seed), [A, B, C]
        text = " | ".join(rng.sample(["a & b", "b & c", "a & c"], rng.choice([2, 3, 3])))
        costs = {name: rng.randint(1, 3) for name in names}
        models = {name: model(rng.choice([0, 1]), rng.choice([0.0, 0.0, 5.0])) for name in names}
        matrix = Matrix(sets=read_sets({"s": text}, ModelId), costs=costs)
        settings = Settings(models=models, matrix=matrix)
        found = Contention(settings)
        beside += any(found.displaced_beside.values())
        for waiter in (name for name in names if not models[name].max_wait_s):
            expected = bool(found.kept_waiting(waiter))
            assert can_starve(settings, waiter) == expected, f"seed {seed}: {text}"
            starving, calm = starving + expected, calm + (not expected)
    assert min(beside, starving, calm) >= 3


def test_under_fifo_nobody_waits_without_bound() -> None:
    assert how(contention(strategy=Strategy.FIFO, a=model(), b=model(9))) == {}


def test_a_chain_of_those_who_go_first_is_followed_to_its_end() -> None:
    groups = {**ASIDE, "b": group("b", exclusive=True), "c": group("c", exclusive=False)}
    found = contention(groups, a=model(), b=model(1), c=model(2))
    assert found.kept_waiting(B) == (Keeping(how=How.SERVES, by=(C,)),)
    assert found.kept_waiting(A) == (Keeping(how=How.BEHIND, by=(B,)),)


# Sets of models, and who has to do with whom.


def test_models_that_no_set_has_together_are_apart() -> None:
    found = sets(s="a & b | c", t="c & d")
    assert found.apart(A) == {C, D}
    assert found.apart(C) == {A, B}
    assert how(found) == {How.SERVES: "cd"}


def test_a_third_model_can_make_two_that_fit_not_fit() -> None:
    found = sets(s="a & b | b & c | a & c | d & a")
    assert found.apart(A) == frozenset()
    assert found.displaced_beside[A] == {C}  # the first of two that cost the same
    assert how(found) == {How.SERVES: "c"}


def test_a_model_in_every_combination_has_to_do_with_nobody() -> None:
    found = sets(s="(a | b | c) & d")
    assert found.field_of(D) == {D}
    assert found.field_of(A) == {A, B, C}
    assert how(found, D) == {}


def test_a_model_in_no_set_has_to_do_with_everybody() -> None:
    assert sets(s="a & b & c").field_of(A) == {A, B, C, D}


def test_a_field_reaches_as_far_as_displacing_does() -> None:
    groups = {"one": group("a", "b", exclusive=False), "two": group("c", "d", exclusive=False)}
    found = contention(groups, a=model(), b=model(), c=model(), d=model())
    assert found.fields() == [{A, B}, {C, D}]
    assert contention({"two": groups["two"]}, a=model(), b=model(), c=model(), d=model()).fields() == [{A, B, C, D}]


def test_who_has_a_bound_without_a_max_wait_goes_first_at_once() -> None:
    assert contention(a=model(1), b=model()).goes_first_at_once(A)
    assert not contention(a=model(1), b=model(1)).goes_first_at_once(A)
    assert not contention(a=model(1), b=model(0, 5)).goes_first_at_once(A)


def test_models_with_the_same_neighbours_are_told_together() -> None:
    together = {A: {B, C}, B: {A, C}, C: {A, B}, D: set()}
    assert twins({name: frozenset(others) for name, others in together.items()}) == [(A, B, C), (D,)]
    across = {A: {C, D}, B: {C, D}, C: {A, B, D}, D: {A, B, C}}
    assert twins({name: frozenset(others) for name, others in across.items()}) == [(A, B), (C, D)]
