"""A core that is broken on purpose is found out: what exploration finds nothing wrong with can be trusted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from states.exploration import Caught
from states.referee import Referee

from . import mutations
from .mutations import MUTATIONS, Mutation, Patch, look_for


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_it_is_noticed_that(mutation: Mutation) -> None:
    found = look_for(mutation.breaks, mutation.world)
    assert found is not None
    assert (found.caught, len(found.path)) == (mutation.caught, mutation.steps)


@pytest.mark.parametrize(
    ("breaks", "world", "caught"),
    [
        (mutations._gate_never_closes, "endless-swap", Caught.LIVELOCK),
        (mutations._overdue_not_ranked, "endless-three", Caught.BOUND),
        (mutations._hold_never_ends, "shutdown-at-once", Caught.DEADLOCK),
    ],
)
def test_without_a_referee_the_graph_shows_it(breaks: Callable[[Patch], None], world: str, caught: Caught) -> None:
    """The searches do not rest on the rules that are judged step by step."""

    def blind(patch: Patch) -> None:
        breaks(patch)
        patch(Referee, "judge", lambda *_: None)

    found = look_for(blind, world)
    assert found is not None
    assert found.caught is caught


def test_the_story_of_a_mutation_is_the_shortest_way_to_it() -> None:
    found = look_for(mutations._gate_never_closes, "swap")
    assert found is not None
    assert found.story == [
        "   1. ticket 1 asks for a  ->  start a",
        "   2. ticket 2 asks for a",
        "   3. ticket 3 asks for b",
        "   4. ticket 1 goes away",
        "   !  ticket 2 for a is seated though ticket 3 outranks it",
    ]


def test_the_core_is_whole_again() -> None:
    assert look_for(lambda _: None, "apart") is None
