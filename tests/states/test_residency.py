"""Which models must leave for another: groups, told in plain language (R79)."""

from __future__ import annotations

import pytest

from states.residency import Residency
from states.settings import GroupSettings, ModelId, ModelSettings, Settings

from .drama import Drama, group, model

A, B, C, X = (ModelId(name) for name in "abcx")


def residency(groups: dict[str, GroupSettings]) -> Residency:
    return Residency(Settings(models={name: ModelSettings() for name in (A, B, C, X)}, groups=groups))


@pytest.mark.parametrize(
    ("groups", "wanted", "leave"),
    [
        pytest.param({}, A, {B, C, X}, id="without groups every model displaces every other"),
        pytest.param({"g": group("a", "b", exclusive=False)}, A, {B}, id="members of a swap group displace each other"),
        pytest.param({"g": group("a", "b", swap=False, exclusive=False)}, A, set(), id="members of another one do not"),
        pytest.param({"g": group("a", "b")}, A, {B, C, X}, id="exclusive: and whatever is in other groups"),
        pytest.param({"g": group("a", "b", swap=False)}, A, {C, X}, id="exclusive without swap: only the others"),
        pytest.param({"g": group("a", "b", exclusive=False)}, C, {A, B, X}, id="the default group is exclusive"),
        pytest.param({"g": group("a", "b", persistent=True)}, C, {X}, id="nobody displaces a persistent group"),
        pytest.param({"g": group("a", "b", persistent=True)}, A, {B, C, X}, id="but its own members"),
        pytest.param({"g": group("a", swap=False, exclusive=False)}, C, {A, B, X}, id="a group of one is as any other"),
        pytest.param(
            {"g": group("a", "b"), "h": group("c", "x", swap=False)},
            A,
            {B, C, X},
            id="a swap group does unload a group without swap: exclusive is what decides",
        ),
        pytest.param(
            {"g": group("a", "b", exclusive=False), "h": group("c", "x", swap=False)},
            A,
            {B},
            id="and does not where it is not exclusive",
        ),
    ],
)
def test_who_must_leave(groups: dict[str, GroupSettings], wanted: ModelId, leave: set[ModelId]) -> None:
    """R79."""
    assert residency(groups).displaced_by(wanted) == leave
    assert set(residency(groups).victims(wanted, [A, B, C, X])) == leave


def test_only_resident_models_are_victims_in_the_order_given() -> None:
    assert residency({}).victims(A, [X, B]) == (X, B)
    assert residency({}).victims(A, []) == ()


def test_a_swap_group_is_one_process_group_and_each_member_of_another_is_one() -> None:
    homes = residency({"g": group("a", "b"), "h": group("c", swap=False)}).group_of
    assert homes[A] == homes[B] != homes[C]
    assert len({homes[A], homes[C], homes[X]}) == 3


def test_a_request_for_a_loaded_model_displaces_nobody() -> None:
    play = Drama(groups={"g": group("b", persistent=True)}, a=model(), b=model()).serving("b1").serving("a1")
    # Were a loaded now, b (persistent) would stay; were b loaded now, a would leave. Both are there.
    assert play.arrives("b2", "a2") == ["grant b2", "grant a2"]


def test_persistent_models_stay_for_whoever_comes() -> None:
    """R44."""
    play = Drama(groups={"keep": group("a", persistent=True)}, a=model(), b=model(), c=model()).idle("a").idle("b")
    # Loading a came first; then b joined, which cannot displace it.
    assert play.arrives("c1") == ["stop b"]
    assert play.arrives("a1") == ["grant a1"]
