"""Rules 1 and 2: who is seated, and that a seat is kept."""

from __future__ import annotations

import pytest

from states.group import GroupState
from states.settings import Strategy

from .drama import Drama, group, model


def test_a_ticket_for_a_loaded_model_with_a_free_seat_is_served_at_once() -> None:
    play = Drama(a=model(), b=model()).serving("a1")
    assert play.arrives("a2") == ["grant a2"]


def test_a_ticket_for_a_model_that_nobody_loaded_starts_it_and_is_served_when_it_is_ready() -> None:
    play = Drama(a=model())
    assert play.arrives("a1") == ["start a"]
    assert play.seated("a") == {"a1"}
    assert play.ready("a") == ["grant a1"]


def test_fifty_first_requests_at_once_make_one_load() -> None:
    """R30."""
    play = Drama(a=model(concurrency=50))
    names = [f"a{number}" for number in range(50)]
    assert play.arrives(*names) == ["start a"]
    assert play.ready("a") == [f"grant {name}" for name in names]
    assert play.loads == ["a"]


def test_seats_are_taken_from_the_commit_on() -> None:
    play = Drama(a=model(concurrency=2))
    play.arrives("a1", "a2", "a3")
    assert play.seated("a") == {"a1", "a2"}
    assert play.ready("a") == ["grant a1", "grant a2"]


def test_when_the_seats_are_full_the_next_is_served_when_one_is_given_back() -> None:
    play = Drama(a=model(concurrency=1)).serving("a1")
    assert play.arrives("a2", "a3") == []
    assert play.served("a1") == ["grant a2"]
    assert play.left("a2") == ["grant a3"]


def test_tickets_of_one_model_are_seated_in_queue_order() -> None:
    play = Drama(a=model(concurrency=1)).serving("a1")
    play.arrives("a2")
    play.arrives("a3", priority=1)
    assert play.served("a1") == ["grant a3"]
    assert play.served("a3") == ["grant a2"]


def test_a_rival_that_outranks_closes_the_gate() -> None:
    play = Drama(a=model(), b=model(priority=1)).serving("a1")
    assert play.arrives("b1", "a2") == []
    assert play.served("a1") == ["stop a"]


def test_an_equal_rival_leaves_the_gate_open() -> None:
    play = Drama(a=model(), b=model()).serving("a1")
    assert play.arrives("b1", "a2") == ["grant a2"]


def test_the_gate_is_open_for_those_whom_the_rival_does_not_outrank() -> None:
    play = Drama(a=model(), b=model(priority=1)).serving("a1")
    play.arrives("b1", "a2")
    assert play.arrives("a3", priority=1) == ["grant a3"]


def test_the_gate_opens_when_the_rival_leaves() -> None:
    play = Drama(a=model(), b=model(priority=1)).serving("a1")
    play.arrives("b1", "a2", "a3")
    assert play.left("b1") == ["grant a2", "grant a3"]


def test_a_ticket_of_a_model_that_can_load_beside_it_is_no_rival() -> None:
    play = Drama(groups={"g": group("a", "b", swap=False)}, a=model(), b=model(priority=1)).serving("a1")
    assert play.arrives("b1") == ["start b"]
    assert play.arrives("a2") == ["grant a2"]


def test_a_waiting_ticket_of_a_resident_model_is_no_rival() -> None:
    play = Drama(groups={"g": group("a", "b", swap=False)}, a=model(), b=model(priority=1, concurrency=1))
    play.serving("a1").serving("b1").arrives("b2")
    assert play.waiting("b") == ["b2"]
    assert play.arrives("a2") == ["grant a2"]


def test_the_gate_is_closed_while_the_model_loads_too() -> None:
    play = Drama(a=model(), b=model(priority=1))
    play.arrives("a1", "b1", "a2")
    assert play.seated("a") == {"a1"}
    assert play.ready("a") == ["grant a1"]
    assert play.served("a1") == ["stop a"]


@pytest.mark.parametrize("strategy", Strategy)
def test_a_seated_ticket_is_never_unseated_to_make_room(strategy: Strategy) -> None:
    """R57: work in flight is not aborted for a swap, however long the rival waits and however high it ranks."""
    play = Drama(strategy=strategy, a=model(), b=model(priority=9, max_wait_s=1)).serving("a1")
    play.arrives("b1")
    assert play.at(1e6) == []
    assert play.state("a") is GroupState.DRAINING
    assert play.served("a1") == ["stop a"]


def test_requests_for_a_loaded_model_do_not_stand_behind_an_eviction() -> None:
    """R03."""
    play = Drama(groups={"g": group("a", "b", exclusive=False), "h": group("c")}, a=model(), b=model(), c=model())
    play.serving("c1").idle("a")
    assert play.arrives("b1") == ["stop a"]
    assert play.arrives("c2") == ["grant c2"]
    play.stopped("a")
    assert play.arrives("c3") == ["grant c3"]


def test_a_victim_under_overlapping_requests_drains_once_a_rival_outranks_them() -> None:
    """R02: whoever arrives for the victim meanwhile cannot revive it."""
    play = Drama(a=model(), b=model(max_wait_s=2)).serving("a1")
    play.arrives("b1")
    assert play.later(1).arrives("a2") == ["grant a2"]
    play.served("a1")
    assert play.later(2).arrives("a3") == []
    assert play.later(3).served("a2") == ["stop a"]
    assert play.arrives("a4") == []
    assert play.stopped("a") == ["start b"]


def test_parallel_clients_that_leave_give_every_seat_back() -> None:
    """R11."""
    play = Drama(a=model(concurrency=20), b=model())
    names = [f"a{number}" for number in range(20)]
    play.serving(*names)
    for name in names[::2]:
        play.left(name)
    for name in names[1::2]:
        play.served(name)
    assert play.seated("a") == set()
    assert play.arrives("b1") == ["stop a"]
