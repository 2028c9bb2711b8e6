"""How a selector picks: from the strategy, how its targets stand, how busy they are and who was picked last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.selecting import Standing, choose, standing_of
from states.group import GroupState

from .routed import selector

LOADED, LOADING, COLD, LEAVING = Standing
WARM = selector("s", "warm", "a", "b", "c")
STATES = {
    None: COLD,
    GroupState.IDLE: COLD,
    GroupState.LOADING: LOADING,
    GroupState.ACTIVE: LOADED,
    GroupState.DRAINING: LOADED,
    GroupState.DEBOUNCE: LOADED,
    GroupState.UNLOADING: LEAVING,
}


def test_every_state_of_a_group_is_a_standing() -> None:
    assert {state: standing_of(state) for state in (None, *GroupState)} == STATES


def spilt(limit: int, standings: list[Standing], busy: list[int], last: int = -1) -> int:
    spillover = selector("s", "spillover", "a", "b", "c", spillover=limit)
    return choose(spillover, standings, busy, last).place


@pytest.mark.parametrize("standings", [[COLD, LOADED], [LEAVING, LOADED], [LOADED, LOADED]])
def test_pin_is_always_the_first(standings: list[Standing]) -> None:
    assert choose(selector("s", "pin", "a", "b"), standings, [9, 0], 1).place == 0


@pytest.mark.parametrize(
    ("standings", "place", "why"),
    [
        ([COLD, LOADED, LOADED], 1, "it is loaded"),
        ([LOADING, COLD, LOADED], 2, "it is loaded"),
        ([COLD, LEAVING, LOADING], 2, "it loads already"),
        ([LEAVING, COLD, COLD], 1, "none is loaded, and it is the first that could be"),
        ([COLD, COLD, COLD], 0, "none is loaded, and it is the first that could be"),
        ([LEAVING, LEAVING, LEAVING], 0, "all of them are leaving, and it is the first"),
    ],
)
def test_warm_is_the_first_loaded_then_the_first_loading_then_the_first(
    standings: list[Standing], place: int, why: str
) -> None:
    choice = choose(WARM, standings, [5, 5, 5], -1)
    assert (choice.place, choice.why) == (place, why)


@pytest.mark.parametrize(
    ("limit", "standings", "busy", "last", "place"),
    [
        (1, [COLD, COLD, COLD], [0, 0, 0], -1, 0),
        (1, [LEAVING, COLD, COLD], [0, 0, 0], -1, 1),
        (1, [COLD, LOADED, COLD], [0, 0, 0], -1, 1),
        (1, [LOADED, COLD, COLD], [1, 0, 0], 0, 1),
        (2, [LOADED, COLD, COLD], [1, 0, 0], 0, 0),
        (2, [LOADED, LOADED, COLD], [1, 2, 0], 1, 0),
        (2, [LOADED, LOADED, COLD], [2, 2, 0], 0, 2),
        (2, [LOADED, LOADED, LEAVING], [3, 2, 0], 1, 1),
        (2, [LOADED, LEAVING, LEAVING], [7, 0, 0], 0, 0),
        (1, [LEAVING, LEAVING, LEAVING], [4, 1, 1], 1, 0),
        (1, [COLD, COLD, COLD], [1, 0, 0], 0, 1),
        (9, [LOADED, LOADED, LOADED], [0, 0, 0], -1, 0),
        (9, [LOADED, LOADED, LOADED], [0, 0, 0], 0, 1),
        (9, [LOADED, LOADED, LOADED], [1, 0, 0], 2, 1),
        (9, [LOADED, LOADED, LOADED], [0, 1, 0], 2, 0),
    ],
)
def test_spillover_fills_those_in_use_by_turns_before_it_puts_another_to_use(
    limit: int, standings: list[Standing], busy: list[int], last: int, place: int
) -> None:
    assert spilt(limit, standings, busy, last) == place


TARGETS = st.integers(1, 5).flatmap(
    lambda size: st.tuples(
        st.lists(st.sampled_from(Standing), min_size=size, max_size=size),
        st.lists(st.integers(0, 4), min_size=size, max_size=size),
    )
)


@given(targets=TARGETS, limit=st.integers(1, 4), last=st.integers(-1, 4))
def test_nobody_is_sent_where_more_is_asked_than_elsewhere(
    targets: tuple[list[Standing], list[int]], limit: int, last: int
) -> None:
    standings, busy = targets
    place = spilt(limit, standings, busy, last)
    usable = [each for each, standing in enumerate(standings) if standing is not LEAVING]
    if not usable:
        assert place == 0
        return
    assert place in usable
    if busy[place] >= limit:
        assert busy[place] == min(busy[each] for each in usable)
    assert busy[place] <= min((busy[each] for each in usable if busy[each] or standings[each] is not COLD), default=0)
