"""Rules 3, 4 and 8: who claims a load, when the claim commits, and what becomes of one that nobody wants any more."""

from __future__ import annotations

import pytest

from states.effects import StopServer
from states.group import GroupState
from states.reasons import InFlight, Outranked, Stopping
from states.settings import ModelId, Strategy

from .drama import Drama, group, model

BESIDE_A = {"free": group("a", "b", swap=False, exclusive=False)}
"""a and b may be loaded together, x displaces both."""


def test_the_first_of_each_model_claims_and_the_others_are_passengers() -> None:
    play = Drama(a=model(), b=model(concurrency=3)).serving("a1")
    play.arrives("b1", "b2", "b3")
    assert play.served("a1") == ["stop a"]
    assert play.seated("b") == {"b1", "b2", "b3"}
    assert play.swapped("a", "b") == ["grant b1", "grant b2", "grant b3"]


def test_two_who_want_the_place_of_one_idle_victim_get_it_one_after_the_other() -> None:
    """R04."""
    play = Drama(a=model(), b=model(), c=model()).idle("a")
    assert play.arrives("b1", "c1") == ["stop a"]
    assert play.swapped("a", "b") == ["grant b1"]
    assert play.served("b1") == ["stop b"]
    assert play.swapped("b", "c") == ["grant c1"]


def test_a_claim_waits_for_every_victim_with_a_seat_taken() -> None:
    play = Drama(groups=BESIDE_A, a=model(), b=model(), x=model()).serving("a1").serving("b1")
    assert play.arrives("x1") == []
    assert play.why("x1") == InFlight(victim=ModelId("a"), seats_taken=1)
    assert play.served("a1") == []
    assert play.served("b1") == ["stop a", "stop b"]


def test_the_victims_stop_in_parallel_and_the_model_loads_when_the_last_has_stopped() -> None:
    play = Drama(groups=BESIDE_A, a=model(), b=model(), x=model()).idle("a").idle("b")
    assert play.arrives("x1") == ["stop a", "stop b"]
    assert play.stopped("b") == []
    assert play.stopped("a") == ["start x"]


def test_a_victim_gets_its_unload_timeout_as_grace() -> None:
    play = Drama(a=model(unload_timeout_s=7), b=model()).idle("a")
    play.arrives("b1")
    assert [effect.grace_s for effect in play.effects if isinstance(effect, StopServer)] == [7]


def test_the_claimant_is_seated_at_the_commit() -> None:
    play = Drama(a=model(), b=model(concurrency=1)).idle("a")
    play.arrives("b1", "b2")
    assert play.seated("b") == {"b1"}
    assert play.state("b") is GroupState.UNLOADING


def test_what_loads_next_is_settled_at_the_commit() -> None:
    play = Drama(a=model(), b=model(), high=model(priority=9, max_wait_s=1)).idle("a")
    play.arrives("b1")
    play.arrives("high1")
    assert play.later(5).stopped("a") == ["start b"]
    assert play.ready("b") == ["grant b1"]
    assert play.served("b1") == ["stop b"]


def test_a_freshly_loaded_model_serves_its_first_request_before_it_is_evicted() -> None:
    """R05: the rival arrives while the model loads, or right after."""
    for arrival in (0.1, 1.1):
        play = Drama(a=model(), b=model(priority=9, max_wait_s=0.1))
        play.arrives("a1")
        if arrival < 1:
            play.later(arrival).arrives("b1")
        play.later(1).ready("a")
        if arrival > 1:
            play.later(arrival).arrives("b1")
        assert play.seated("a") == {"a1"}
        assert play.later(2).served("a1") == ["stop a"]


@pytest.mark.parametrize("strategy", Strategy)
def test_under_alternating_pressure_every_load_serves_somebody(strategy: Strategy) -> None:
    """R06."""
    play = Drama(strategy=strategy, a=model(concurrency=1, max_wait_s=1), b=model(concurrency=1, max_wait_s=1))
    play.serving("a0")
    served: list[str] = []
    for round_ in range(1, 20):
        play.later(round_).arrives(f"a{round_}", f"b{round_}")
        here = "a" if play.record("a").resident else "b"
        (name,) = play.seated(here)
        play.served(name)
        served.append(name)
        if play.state(here) is GroupState.UNLOADING:
            play.swapped(here, "b" if here == "a" else "a")
    assert len(set(served)) == len(served) == 19
    assert 1 < len(play.loads) <= len(served)


def test_a_claim_waits_for_a_rival_of_its_model_that_outranks_it() -> None:
    play = Drama(a=model(), b=model(), c=model(priority=1)).serving("a1")
    play.arrives("b1", "c1")
    assert play.why("b1") == Outranked(by=play.number("c1"), model=ModelId("c"), because="priority 1 over 0")


COMMON_VICTIM = {"p": group("e", "f", persistent=True), "q": group("b", persistent=True)}
"""e and b displace v, and neither displaces the other; f is in the way of e alone."""


def test_a_claim_waits_for_one_that_outranks_it_and_has_a_victim_in_common() -> None:
    play = Drama(groups=COMMON_VICTIM, e=model(priority=5), f=model(), b=model(), v=model())
    play.serving("f1").idle("v")
    play.arrives("e1")
    assert play.arrives("b1") == []
    assert play.why("b1") == Outranked(by=play.number("e1"), model=ModelId("e"), because="priority 5 over 0")
    assert play.served("f1") == ["stop f", "stop v"]
    assert play.why("b1") == Stopping(model=ModelId("v"))
    assert play.stopped("v") == ["start b"]
    assert play.stopped("f") == ["start e"]


def test_a_claim_with_a_victim_in_common_that_does_not_outrank_is_not_waited_for() -> None:
    play = Drama(groups=COMMON_VICTIM, e=model(), f=model(), b=model(), v=model())
    play.serving("f1").idle("v")
    assert play.arrives("e1") == []
    assert play.arrives("b1") == ["stop v"]


def test_a_claim_waits_for_nobody_else() -> None:
    groups = {"g": group("a", "b", exclusive=False), "h": group("c", "d", exclusive=False)}
    play = Drama(groups=groups, a=model(), b=model(priority=9), c=model(), d=model()).serving("a1").idle("c")
    play.arrives("b1")
    assert play.arrives("d1") == ["stop c"]


def test_an_unloading_model_is_claimed_again_only_after_it_has_stopped() -> None:
    """R01: a request at any point of the stop gets its load, and nothing waits for a server that nobody starts."""
    play = Drama(a=model(), b=model()).idle("a")
    assert play.unload("a") == ["stop a"]
    assert play.arrives("a1") == []
    assert play.why("a1") == Stopping(model=ModelId("a"))
    assert play.stopped("a") == ["confirm 1", "start a"]


def test_no_claim_commits_while_a_server_is_being_stopped_in_its_way() -> None:
    play = Drama(groups=BESIDE_A, a=model(), b=model(), x=model()).idle("a")
    play.unload("a")
    assert play.arrives("x1") == []
    assert play.seated("x") == set()
    # So a higher priority that arrives meanwhile still goes first.
    assert play.arrives("b1", priority=5) == ["start b"]
    assert play.stopped("a") == ["confirm 1"]
    assert play.why("x1") == InFlight(victim=ModelId("b"), seats_taken=1)


def test_a_load_that_displaces_nobody_may_join_one_that_was_committed() -> None:
    play = Drama(groups=BESIDE_A, a=model(), b=model(), x=model()).idle("a")
    assert play.arrives("x1") == ["stop a"]
    assert play.arrives("b1") == ["start b"]
    assert play.stopped("a") == ["start x"]


def test_a_ready_server_that_was_told_to_stop_is_not_used() -> None:
    """R26: the news that it is ready and the order to stop cross each other."""
    play = Drama(a=model(), b=model())
    play.arrives("a1")
    play.left("a1")
    assert play.arrives("b1") == ["stop a"]
    assert play.ready("a") == []
    assert play.failed("a") == []
    assert play.stopped("a") == ["start b"]


def test_a_victim_that_dies_while_a_claim_waits_for_it_makes_room() -> None:
    """R12: no eviction of a dead process is ever waited for."""
    play = Drama(a=model(), b=model()).serving("a1")
    play.arrives("b1")
    assert play.died("a") == ["cut a1: server_died", "stop a"]
    assert play.stopped("a") == ["start b"]


def test_a_victim_that_dies_while_it_is_being_stopped_changes_nothing() -> None:
    """R12."""
    play = Drama(a=model(), b=model()).idle("a")
    play.arrives("b1")
    assert play.died("a") == []
    assert play.stopped("a") == ["start b"]


# Rule 8: nobody waits for the departed.


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_client_that_leaves_the_queue_starts_no_load(place: int) -> None:
    """R51: at every place of the line."""
    play = Drama(a=model(), b=model(concurrency=1), c=model()).serving("a1")
    names = ["b1", "b2", "b3"]
    play.arrives(*names)
    play.left(names.pop(place))
    assert play.waiting("b") == names
    play.left(*names)
    play.arrives("c1")
    play.served("a1")
    assert play.stopped("a") == ["start c"]


def test_a_committed_load_whose_passenger_left_is_dropped_before_it_starts() -> None:
    """R10, R51."""
    play = Drama(a=model(), b=model()).idle("a")
    assert play.arrives("b1") == ["stop a"]
    assert play.left("b1") == []
    assert play.stopped("a") == []
    assert play.state("b") is GroupState.IDLE


def test_a_dropped_load_leaves_the_place_to_who_waits() -> None:
    """R10."""
    play = Drama(a=model(), b=model(), c=model()).idle("a")
    play.arrives("b1", "c1")
    play.left("b1")
    assert play.stopped("a") == ["start c"]


def test_the_seat_of_a_passenger_who_left_goes_to_waiting_tickets_first() -> None:
    play = Drama(a=model(), b=model(concurrency=1), c=model()).idle("a")
    play.arrives("b1", "b2", "c1")
    play.left("b1")
    assert play.seated("b") == {"b2"}
    assert play.stopped("a") == ["start b"]


def test_a_committed_load_is_dropped_when_none_of_its_waiting_tickets_may_take_the_seat() -> None:
    play = Drama(a=model(), b=model(concurrency=1), c=model(priority=1)).idle("a")
    play.arrives("b1", "b2", "c1")
    play.left("b1")
    assert play.stopped("a") == ["start c"]
    assert play.waiting("b") == ["b2"]


def test_a_load_whose_passenger_left_goes_on_when_nobody_else_wants_its_place() -> None:
    play = Drama(a=model(), b=model())
    play.arrives("a1")
    assert play.left("a1") == []
    assert play.ready("a") == []
    assert play.state("a") is GroupState.ACTIVE
    assert play.arrives("a2") == ["grant a2"]


def test_a_load_without_passenger_is_stopped_by_the_first_claim_in_spite_of_delay_and_min_loaded() -> None:
    play = Drama(a=model(unload_delay_s=60, min_loaded_s=60), b=model())
    play.arrives("a1")
    play.left("a1")
    assert play.arrives("b1") == ["stop a"]


def test_once_loaded_the_hold_of_a_load_without_passenger_runs_from_loaded_at() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model())
    play.arrives("a1")
    play.later(1).left("a1")
    play.later(3).ready("a")
    play.later(4).arrives("b1")
    assert play.deadline == 8
    assert play.at(8) == ["stop a"]


def test_a_seat_that_is_given_back_while_the_model_loads_goes_to_who_waits() -> None:
    play = Drama(a=model(concurrency=1))
    play.arrives("a1", "a2")
    play.left("a1")
    assert play.ready("a") == ["grant a2"]
