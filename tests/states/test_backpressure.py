"""Rule 9: who is turned away at the door, and when to come back."""

from __future__ import annotations

from states.effects import RefuseTicket
from states.settings import Strategy

from .drama import Drama, model


def retry_after(play: Drama) -> float | None:
    (told,) = [effect for effect in play.effects if isinstance(effect, RefuseTicket)]
    return told.refusal.retry_after_s


def test_a_ticket_that_finds_the_queue_full_is_refused_before_anything_else_is_done_for_it() -> None:
    """R53: nothing was granted, and nothing has been sent to its client."""
    play = Drama(a=model(concurrency=1, queue_limit=2)).serving("a1")
    assert play.arrives("a2", "a3") == []
    assert play.arrives("a4") == ["refuse a4: queue_full"]
    assert play.waiting("a") == ["a2", "a3"]


def test_who_is_refused_changes_nothing_for_anybody() -> None:
    play = Drama(a=model(), b=model(queue_limit=1)).serving("a1")
    play.arrives("b1")
    play.arrives("b2")
    assert play.effects[1:] == []
    assert play.moves == []


def test_only_the_queue_of_its_own_model_counts() -> None:
    play = Drama(a=model(), b=model(queue_limit=1), c=model(queue_limit=1)).serving("a1")
    play.arrives("b1")
    assert play.arrives("c1") == []


def test_seated_tickets_do_not_count() -> None:
    play = Drama(a=model(concurrency=2, queue_limit=1))
    assert play.arrives("a1", "a2", "a3") == ["start a"]
    assert play.arrives("a4") == ["refuse a4: queue_full"]


def test_a_place_that_is_free_again_may_be_taken() -> None:
    play = Drama(a=model(concurrency=1, queue_limit=1)).serving("a1")
    play.arrives("a2")
    play.served("a1")
    assert play.arrives("a3") == []


def test_a_ticket_that_is_seated_at_once_is_not_refused() -> None:
    play = Drama(a=model(queue_limit=1), b=model(priority=2)).serving("a1")
    play.arrives("b1", "a2")
    assert play.arrives("a3") == ["refuse a3: queue_full"]
    assert play.arrives("a4", priority=2) == ["grant a4"]


def test_a_ticket_whose_claim_commits_at_once_is_not_refused() -> None:
    play = Drama(a=model(unload_delay_s=10), b=model(queue_limit=1)).idle("a")
    play.arrives("b1")
    assert play.arrives("b2") == ["refuse b2: queue_full"]
    assert play.arrives("b3", priority=1) == ["b3 bypasses a", "stop a"]


def test_fifo_refuses_as_well() -> None:
    play = Drama(strategy=Strategy.FIFO, a=model(concurrency=1, queue_limit=1)).serving("a1")
    play.arrives("a2")
    assert play.arrives("a3", priority=9) == ["refuse a3: queue_full"]


def test_before_anything_was_measured_retry_after_is_a_second() -> None:
    play = Drama(a=model(concurrency=1, queue_limit=1)).serving("a1")
    play.arrives("a2", "a3")
    assert retry_after(play) == 1


def test_retry_after_is_the_measured_service_time_over_the_seats_of_a_loaded_model() -> None:
    play = Drama(a=model(concurrency=2, queue_limit=1)).serving("a1", "a2")
    play.later(12).served("a1")
    play.arrives("a3", "a4", "a5")
    assert retry_after(play) == 6


def test_the_load_of_a_loaded_model_is_not_waited_for_again() -> None:
    play = Drama(a=model(concurrency=1, queue_limit=1))
    play.arrives("a1")
    play.later(20).ready("a")
    play.later(26).served("a1")
    play.arrives("a2", "a3", "a4")
    assert retry_after(play) == 6


def test_retry_after_adds_the_measured_stop_and_load_of_a_swap() -> None:
    play = Drama(a=model(), b=model(queue_limit=1)).serving("a1")
    play.later(4).served("a1")
    play.arrives("b1")
    play.later(7).stopped("a")
    play.later(27).ready("b")
    play.later(77).served("b1")
    play.arrives("a2")
    play.later(78).stopped("b")
    play.later(79).ready("a")
    play.arrives("b2", "b3")
    # b: 50 s of service over 10 seats, and 20 s of load; a: 3 s to stop.
    assert retry_after(play) == 28


def test_retry_after_is_a_whole_number_of_seconds_rounded_up() -> None:
    play = Drama(a=model(concurrency=1, queue_limit=1)).serving("a1")
    play.later(2.25).served("a1")
    play.arrives("a2", "a3", "a4")
    assert retry_after(play) == 3
