"""Every state of the listed small worlds; and that exploration itself is not mistaken about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from states import events as ev
from states.abstraction import Abstraction
from states.core import Core
from states.exploration import TooLargeError, explore
from states.frames import SLOTS
from states.group import GroupMachine, GroupState, Signal
from states.happenings import Step, What, event_of, steps
from states.promises import assert_ends, starvation
from states.settings import ModelId, TicketId
from states.small_world import Crowd, SmallWorld, Wish
from states.storytelling import retell

from .listed_worlds import ALL, DEEP, LISTED, Listed, asked, ever, find, model, once, settings
from .worlds import random_small_world


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "listed" in metafunc.fixturenames:
        chosen = (*LISTED, *DEEP) if metafunc.config.getoption("--deep") else LISTED
        metafunc.parametrize("listed", chosen, ids=lambda world: world.name)
    if "seeds" in metafunc.fixturenames:
        last = 200 if metafunc.config.getoption("--deep") else 10
        metafunc.parametrize("seeds", [range(first, first + 5) for first in range(0, last, 5)], ids=str)


def test_the_contract_holds_in_every_state_of(listed: Listed) -> None:
    """R01: nobody waits for nothing, whatever happens in whatever order."""
    found = find(listed.name)
    assert (found.states, found.steps, found.starves) == (listed.states, listed.steps, listed.starves)


def test_the_contract_holds_in_the_first_states_of_random_worlds(seeds: range) -> None:
    for seed in seeds:
        scene = random_small_world(Random(seed))
        try:
            explored = explore(scene, most=1500)
        except TooLargeError:
            continue
        if scene.observed is None:
            assert_ends(explored)
        else:
            starvation(explored)


def test_the_listed_worlds_take_every_transition_of_the_machine_but_one() -> None:
    taken = {move for listed in LISTED for explored in find(listed.name).graphs for move in explored.moves}
    # A hold begins when a model is loaded, so nothing is held back by one before; the machine need not know.
    never = (GroupState.LOADING, Signal.READY, GroupState.DEBOUNCE)
    assert set(_transitions()) - taken == {never}


def _transitions() -> Iterator[tuple[GroupState, Signal, GroupState]]:
    for state in GroupMachine.states:
        for transition in state.transitions:
            for event in transition.events:
                yield GroupState(state.value), Signal(event.id), GroupState(transition.target.value)


@pytest.mark.parametrize(
    "name",
    [
        "unload",
        "ttl",
        "fifo",
        "two-groups",
        "preload",
        "matrix",
        "change-settings",
        "change-groups",
        "endless-failures",
    ],
)
def test_what_a_core_does_in_real_time_was_explored(name: str) -> None:
    """The times of exploration are only an order: nothing that real ones lead to may be missing."""
    for explored in find(name).graphs:
        known = set(explored.states)
        for seed in range(15):
            for state in _lived(explored.abstraction.scene, Random(seed)):
                assert state in known, f"seed {seed}"


def _lived(scene: SmallWorld, rng: Random) -> Iterator[bytes]:
    """The states that one core goes through, its times being random numbers."""
    abstraction, core = Abstraction(scene, *scene.in_force), Core(scene.settings)
    now, passed_s = 0.0, 0.0
    core.handle(ev.TimePassed(), now)
    state = abstraction.write(core.world, abstraction.beyond_at_first())
    for asker in range(60):
        yield state
        # No more than two things at one instant: so many are explored.
        passed_s = rng.expovariate(rng.choice([0.1, 1.0, 10.0])) if passed_s == 0 or rng.random() < 0.7 else 0.0
        now += passed_s
        core.handle(ev.TimePassed(), now)
        state = abstraction.write(core.world, abstraction.read(state).beyond)
        yield state
        possible = [step for step in steps(abstraction, abstraction.read(state)) if step.what is not What.TIME]
        if not possible:
            continue
        state = _happens(abstraction, core, state, rng.choice(possible), asker)


def _happens(abstraction: Abstraction, core: Core, state: bytes, step: Step, asker: int) -> bytes:
    """What exploration calls by its own numbers happens to whom they mean."""
    frame = abstraction.read(state)
    event, beyond = event_of(abstraction, frame, step), frame.beyond
    there = abstraction.order(core.world, beyond)
    match event:
        case ev.TicketArrived(ticket=ticket):
            taken = {of for of in there if of // SLOTS == ticket // SLOTS}
            free = next(
                TicketId(ticket // SLOTS * SLOTS + at)
                for at in range(SLOTS)
                if ticket // SLOTS * SLOTS + at not in taken
            )
            event = replace(event, ticket=free)
            beyond = abstraction.one_less(beyond, crowd=step.of)
        case ev.TicketServed(ticket=ticket) | ev.TicketLeft(ticket=ticket):
            crowd = [of for of in there if of // SLOTS == ticket // SLOTS]
            event = replace(event, ticket=crowd[ticket % SLOTS])
        case ev.UnloadAsked() | ev.SettingsChanged() | ev.ShutdownAsked():
            event = replace(event, asker=ev.AskerId(asker))
        case _:
            pass
    if step.what is What.ASKED:
        beyond = abstraction.one_less(beyond, operation=step.of)
    core.handle(event, core.world.clock)
    return abstraction.write(core.world, beyond)


def test_a_starvation_is_told_with_what_goes_on_for_ever() -> None:
    scene = SmallWorld(settings=settings(a=model(), b=model()), crowds=ever("aa")).observing(ModelId("b"))
    seen = starvation(explore(scene))
    assert seen is not None
    assert (seen.waiter, seen.by) == ("b", ("a",))
    assert retell(scene, seen.path, seen.cycle) == [
        "   1. ticket 1 asks for a  ->  start a",
        "   2. ticket 2 asks for b",
        "   3. a is ready  ->  serve ticket 1",
        "      ticket 2 for b waits: a must leave and still serves 1 request",
        "      and then for ever:",
        "   4. ticket 3 asks for a",
        "   5. ticket 1 is done  ->  serve ticket 3",
    ]


def test_a_deadline_ends_the_same_starvation() -> None:
    dated = settings(a=model(), b=model(max_wait_s=1))
    assert starvation(explore(SmallWorld(settings=dated, crowds=ever("aa")).observing(ModelId("b")))) is None


def test_a_world_that_is_too_large_is_given_up_not_waited_for() -> None:
    with pytest.raises(TooLargeError, match="more than 100 states"):
        explore(ALL["swap"].scene, most=100)


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    explored = explore(ALL["unload"].scene, progress=lambda visited, known: told.append((visited, known)))
    assert [visited for visited, _ in told] == list(range(500, len(explored.states), 500))
    assert all(visited <= known <= len(explored.states) for visited, known in told)


def test_the_same_world_is_explored_in_the_same_order() -> None:
    scene = ALL["shutdown-at-once"].scene
    assert explore(scene).states == explore(scene).states


def test_a_world_that_cannot_be_explored_is_refused() -> None:
    both = settings(a=model(), b=model())
    with pytest.raises(ValueError, match="who is observed is one client"):
        SmallWorld(settings=both, crowds=(Crowd(model=ModelId("a"), observed=True, leaves=True),))
    with pytest.raises(ValueError, match="too much to explore"):
        SmallWorld(settings=both, crowds=once("a" * 16))
    other = settings(a=model(), b=model(max_wait_s=1))
    with pytest.raises(ValueError, match="a change needs settings with the same models"):
        SmallWorld(settings=both, changed=other, crowds=once("a"), operations=(asked(Wish.CHANGE),))
    with pytest.raises(ValueError, match="nobody is observed"):
        starvation(explore(SmallWorld(settings=both, crowds=once("a"))))
