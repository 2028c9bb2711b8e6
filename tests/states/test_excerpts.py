"""Which small worlds are made of a large configuration."""

from __future__ import annotations

from states.contention import Contention
from states.excerpts import excerpts
from states.exploration import explore
from states.matrix import Matrix, read_sets
from states.promises import starvation
from states.settings import GroupSettings, ModelId, ModelSettings, Settings


def shapes(
    groups: dict[str, GroupSettings] | None = None, matrix: str = "", **models: ModelSettings
) -> list[tuple[str, str]]:
    """Of each world, whose wait is watched and who else is there."""
    sets = Matrix(sets=read_sets({"s": matrix}, ModelId), costs={}) if matrix else None
    settings = Settings(models={ModelId(name): of for name, of in models.items()}, groups=groups or {}, matrix=sets)
    worlds = list(excerpts(Contention(settings)))
    return [
        ("".join(crowd.model for crowd in world.crowds if crowd.observed), "".join(list(world.settings.models)[1:]))
        for world in worlds
    ]


PLAIN, HIGH, HIGHER = ModelSettings(), ModelSettings(priority=1), ModelSettings(priority=7)


def test_each_waits_for_each_other_and_for_every_two() -> None:
    assert shapes(a=PLAIN, b=HIGH, c=ModelSettings(unload_delay_s=1)) == [
        ("a", "b"),
        ("a", "c"),
        ("b", "a"),
        ("b", "c"),
        ("c", "a"),
        ("c", "b"),
        ("a", "bc"),
        ("b", "ac"),
        ("c", "ab"),
    ]


def test_models_that_are_alike_are_taken_once() -> None:
    assert shapes(**{f"m{number}": PLAIN for number in range(50)}) == [("m0", "m1"), ("m0", "m1m2")]


def test_worlds_that_differ_in_the_size_of_numbers_are_one() -> None:
    assert shapes(a=PLAIN, b=HIGH, c=HIGHER)[:2] == [("a", "b"), ("b", "a")]
    assert ("b", "c") not in shapes(a=PLAIN, b=HIGH, c=HIGHER)


def test_a_model_that_is_in_nobodys_way_is_in_no_world() -> None:
    beside = {"beside": GroupSettings(members=(ModelId("c"),), exclusive=False, persistent=True)}
    assert shapes(beside, a=PLAIN, b=PLAIN, c=HIGH) == [("a", "b")]


def test_many_different_models_are_taken_by_twos_only() -> None:
    found = shapes(**{f"m{number}": ModelSettings(priority=number) for number in range(12)})
    assert found == [("m0", "m1"), ("m1", "m0")]


def test_no_two_models_of_a_matrix_are_taken_to_be_alike() -> None:
    found = shapes(matrix="a & b | b & c | a & c", a=PLAIN, b=PLAIN, c=PLAIN)
    assert len(found) == 9
    assert ("c", "ab") in found


def test_a_hold_of_two_halves_is_no_deadlock_while_only_one_has_ended() -> None:
    held = ModelSettings(unload_delay_s=10, min_loaded_s=5)
    contention = Contention(Settings(models={ModelId("a"): held, ModelId("b"): PLAIN}))
    assert [starvation(explore(world)) for world in excerpts(contention)] == [None, None]
