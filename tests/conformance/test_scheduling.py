"""Who is served when, who leaves for whom, and what an unload does, against section 10 of llama-swap's behaviour.

That is its list "Scheduler/router", and what it sums up of section 5. An ignored websocket (10) is not here: no upgrade
is, and `trio-swap check` names `compat`.

Each docstring begins with its section; where we differ on purpose it says so, and why.
"""

from __future__ import annotations

from math import inf

import pytest

from proxy.replies import problem_of
from states.effects import CutSeat, Refusal, RefuseTicket, StopServer
from states.group import GroupState
from states.settings import GroupSettings, ModelSettings
from tests.states.drama import Drama, group, model

TOGETHER = {"g": group("a", "b", swap=False)}
"""Both may be loaded."""
APART: dict[str, GroupSettings] = {name: group(name, exclusive=False) for name in "ab"}
"""Two groups that leave each other alone."""


def refusals(play: Drama) -> list[Refusal]:
    """What clients were told last."""
    return [effect.refusal for effect in play.effects if isinstance(effect, CutSeat | RefuseTicket)]


# Requests


def test_a_loaded_model_serves_at_once_and_nothing_is_swapped() -> None:
    """10, 5.1: the fast path."""
    play = Drama(a=model(), b=model()).idle("a")
    assert play.arrives("a1", "a2") == ["grant a1", "grant a2"]
    assert (play.moves, play.loads) == ([], ["a"])


def test_whoever_asks_for_a_model_that_loads_joins_the_load() -> None:
    """10, 5.1."""
    play = Drama(a=model())
    assert play.arrives("a1", "a2", "a3") == ["start a"]
    assert play.ready("a") == ["grant a1", "grant a2", "grant a3"]
    assert play.loads == ["a"]


def test_a_load_that_fails_reaches_all_who_wait_for_it() -> None:
    """10, 5.1."""
    play = Drama(a=model(), b=model()).idle("b")
    play.arrives("a1", "a2")
    play.stopped("b")
    assert play.failed("a") == ["refuse a1: load_failed", "refuse a2: load_failed", "stop a"]


def test_loads_in_each_others_way_come_one_after_the_other_and_others_at_the_same_time() -> None:
    """10, 5.1, 5.6: disjoint swaps in parallel, overlapping evictions serialise."""
    apart = Drama(groups=APART, a=model(), b=model())
    assert apart.arrives("a1", "b1") == ["start a", "start b"]
    same = Drama(a=model(), b=model(), c=model()).idle("c")
    assert same.arrives("a1", "b1") == ["stop c"]
    assert same.stopped("c") == ["start a"]
    same.ready("a")
    assert same.served("a1") == ["stop a"]
    assert same.stopped("a") == ["start b"]


def test_a_model_that_serves_is_not_evicted() -> None:
    """10, 5.1, 5.6."""
    play = Drama(a=model(), b=model(priority=9)).serving("a1", "a2")
    assert play.arrives("b1") == []
    assert play.served("a1") == []
    assert play.served("a2") == ["stop a"]


def test_a_busy_model_serves_equals_who_come_later_for_so_long_and_no_longer() -> None:
    """5.6, 9 (W1). Better: whoever waits is next after `max_wait`; there it waits for as long as others come."""
    play = Drama(a=model(), b=model(max_wait_s=60)).serving("a1")
    play.arrives("b1")
    assert play.later(59).arrives("a2") == ["grant a2"]
    assert play.later(60).arrives("a3") == []
    assert (play.served("a1"), play.served("a2")) == ([], ["stop a"])


def test_a_more_urgent_request_closes_a_busy_model_to_those_who_come_later() -> None:
    """5.1. Different: there a loaded model serves past the queue, whatever is in it."""
    play = Drama(a=model(), b=model(priority=1)).serving("a1")
    play.arrives("b1")
    assert play.arrives("a2") == []
    assert play.served("a1") == ["stop a"]


def test_whoever_waits_elsewhere_does_not_wait_for_the_head_of_the_queue() -> None:
    """5.2: no head-of-line blocking; one event lets in everybody for whom there is a place now."""
    groups = {"g": group("a", "b", exclusive=False), "h": group("c", "d", exclusive=False)}
    play = Drama(groups=groups, a=model(), b=model(), c=model(), d=model()).serving("a1").idle("c")
    assert play.arrives("b1") == []
    assert play.arrives("d1") == ["stop c"]


def test_one_end_lets_in_several_who_waited() -> None:
    """10: the queue drains several."""
    play = Drama(groups=TOGETHER, a=model(), b=model(), x=model()).serving("x1")
    assert play.arrives("a1", "b1", "a2") == []
    assert play.served("x1") == ["stop x"]
    assert play.stopped("x") == ["start a", "start b"]


def test_requests_for_one_model_share_a_swap() -> None:
    """10, 5.2: A B C A B C is served A A B B C C."""
    play = Drama(a=model(), b=model(), c=model())
    play.arrives("a1", "b1", "c1", "a2", "b2", "c2")
    for name, then in (("a", "b"), ("b", "c")):
        assert play.ready(name) == [f"grant {name}1", f"grant {name}2"]
        assert play.served(f"{name}1", f"{name}2") == [f"stop {name}"]
        assert play.stopped(name) == [f"start {then}"]
    assert play.ready("c") == ["grant c1", "grant c2"]


def test_the_higher_priority_goes_first_and_the_earlier_of_equals() -> None:
    """10, 5.2: the priority is the model's."""
    play = Drama(a=model(), b=model(priority=-1), c=model(priority=5), d=model(priority=5)).serving("a1")
    play.arrives("b1", "c1", "d1", "a2")
    assert play.served("a1") == ["stop a"]
    for name, then in (("a", "c"), ("c", "d"), ("d", "a"), ("a", "b")):
        assert play.stopped(name) == [f"start {then}"]
        play.ready(then)
        play.served(*play.seated(then))


# Clients that leave


def test_who_leaves_the_queue_or_a_load_is_forgotten_and_its_place_is_free() -> None:
    """10, 5.3."""
    play = Drama(a=model(concurrency=1, queue_limit=1), b=model())
    play.arrives("a1", "a2", "b1")
    play.left("a2")
    assert play.arrives("a3") == [], "the place in line is free"
    play.left("a1")
    assert play.ready("a") == ["grant a3"], "and so is the seat"
    play.left("b1")
    assert play.served("a3") == []
    assert play.loads == ["a"]


def test_a_load_whose_only_client_left_goes_on() -> None:
    """5.3: the model stays until its TTL, or until somebody wants its place."""
    play = Drama(a=model(ttl_s=60), b=model())
    play.arrives("a1")
    assert play.left("a1") == []
    assert play.later(5).ready("a") == []
    assert play.deadline == 65


def test_a_client_that_has_gone_when_it_is_granted_its_seat_gives_it_back() -> None:
    """10: no in-flight count leaks."""
    play = Drama(a=model(concurrency=1), b=model())
    play.arrives("a1", "a2")
    assert play.ready("a") == ["grant a1"]
    assert play.left("a1") == ["grant a2"]
    play.arrives("b1")
    assert play.left("a2") == ["stop a"]


# Limits


@pytest.mark.parametrize(("settings", "limit"), [(model(), 10), (model(concurrency=3), 3)], ids=["default", "own"])
def test_so_many_are_served_at_once_and_the_others_wait(settings: ModelSettings, limit: int) -> None:
    """10, 5.1: 10, or `concurrencyLimit`. Better: there the next one is refused with 429."""
    play = Drama(a=settings)
    names = [f"a{number}" for number in range(limit + 2)]
    play.arrives(*names)
    play.ready("a")
    assert play.seated("a") == set(names[:limit])
    assert play.waiting("a") == names[limit:]
    assert play.served("a0") == [f"grant {names[limit]}"]


def test_who_finds_the_queue_full_is_429_at_once_and_told_when_to_come_back() -> None:
    """10, 5.1: before anything is done for it. Different: who waits and who joined a load count against `queue_limit`,
    not against the seats. Better: Retry-After is what the wait has been measured to be; there it is always 1."""
    play = Drama(a=model(concurrency=1, queue_limit=2), b=model())
    play.arrives("a1", "a2", "a3")
    assert play.arrives("a4") == ["refuse a4: queue_full"]
    (told,) = refusals(play)
    assert (problem_of(told).status, told.retry_after_s) == (429, 1.0)
    play.later(20).ready("a")
    play.later(80).served("a1")
    play.arrives("a5")
    play.arrives("a6")
    (told,) = refusals(play)
    assert told.retry_after_s == 60


# Unload


def test_models_are_unloaded_at_the_same_time_each_with_a_grace_of_its_own() -> None:
    """10, 5.4. Better: there, those with one timeout after those with a smaller one, and every request waits."""
    play = Drama(groups=TOGETHER, a=model(unload_timeout_s=5), b=model(unload_timeout_s=20)).idle("a").idle("b")
    assert play.unload("a", "b") == ["stop a", "stop b"]
    assert [each.grace_s for each in play.effects if isinstance(each, StopServer)] == [5, 20]
    assert (play.stopped("b"), play.stopped("a")) == ([], ["confirm 1"]), "answered when all have stopped"


def test_who_waits_for_an_unloaded_model_is_refused_and_nobody_else_notices() -> None:
    """10, 5.4."""
    play = Drama(groups=TOGETHER, a=model(), b=model(), c=model()).serving("b1")
    play.arrives("a1", "a2", "c1")
    assert play.unload("a") == ["stop a", "refuse a1: unloaded", "refuse a2: unloaded"]
    assert play.seated("b") == {"b1"}
    assert play.arrives("b2") == ["grant b2"], "5.4, 9 (W2). Better: there nobody is served until it has stopped"
    assert play.waiting("c") == ["c1"]


def test_an_unload_takes_back_a_swap_that_still_evicts() -> None:
    """5.4, 9 (W8). Better: there the model is loaded all the same, and nobody knows of it."""
    play = Drama(a=model(), b=model()).idle("a")
    assert play.arrives("b1") == ["stop a"]
    assert play.unload("b") == ["refuse b1: unloaded", "confirm 1"]
    assert play.stopped("a") == []
    assert play.loads == ["a"]


# Shutdown


def test_a_shutdown_stops_every_server_once_and_refuses_who_comes_later() -> None:
    """10, 5.5. Different: 503 `shutting_down`, not 500: another attempt elsewhere makes sense."""
    play = Drama(groups=TOGETHER, a=model(concurrency=1), b=model()).idle("b").serving("a1")
    play.arrives("a2")
    assert play.shutdown(30) == ["refuse a2: shutting_down", "stop b"]
    assert play.arrives("a3") == ["refuse a3: shutting_down"]
    assert [problem_of(told).status for told in refusals(play)] == [503]
    assert play.served("a1") == ["stop a"]
    assert (play.stopped("a"), play.stopped("b")) == ([], ["confirm 99"])
    assert (play.state("a"), play.state("b"), play.deadline) == (GroupState.IDLE, GroupState.IDLE, inf)


def test_a_second_shutdown_hurries_the_first() -> None:
    """10, 1.4. Better: there it is told that one is in progress, or swallowed."""
    play = Drama(a=model()).serving("a1")
    play.shutdown(30)
    assert play.hurry()[0] == "cut a1: shutting_down"
    assert play.stopped("a") == ["confirm 99"]
